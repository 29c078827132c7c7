"""Several servers behind the proxy of docker/haproxy.cfg, and one of them killed."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from envserver.client import Gym
from envserver.launch import Launched, launch
from envserver.schema import Task

pytestmark = pytest.mark.skipif(shutil.which("haproxy") is None, reason="needs the program haproxy")

CONFIG = Path(__file__).parents[2] / "docker" / "haproxy.cfg"
TASK = Task(env="counter", key="train/1", options={"goal": 40})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


@pytest.fixture
def behind(tmp_path: Path) -> Iterator[tuple[str, list[Launched]]]:
    """The proxy's address, and three servers that share a ledger."""
    with ExitStack() as stack:
        keep = {"workers": 1, "ledger": tmp_path / "ledger", "log": tmp_path / "log"}
        servers = [stack.enter_context(launch(["worlds:Counter"], **keep)) for _ in range(3)]
        lines = "\n".join(f"  server w{n} {server.url[7:]}" for n, server in enumerate(servers))
        port = free_port()
        config = CONFIG.read_text(encoding="utf-8").replace("bind :8000", f"bind 127.0.0.1:{port}")
        config = re.sub(r"(?m)^  server-template .*$", lines, config)
        (tmp_path / "haproxy.cfg").write_text(config, encoding="utf-8")
        proxy = subprocess.Popen(["haproxy", "-f", tmp_path / "haproxy.cfg"], stderr=subprocess.DEVNULL)
        stack.callback(proxy.wait)
        stack.callback(proxy.terminate)
        url = f"http://127.0.0.1:{port}"
        give_up = time.monotonic() + 60
        while True:
            try:
                if httpx.get(f"{url}/health").status_code == 200:
                    break
            except httpx.TransportError:
                assert time.monotonic() < give_up
            time.sleep(0.1)
        yield url, servers


def held(server: Launched) -> int:
    """Sessions a server holds."""
    return int(httpx.get(f"{server.url}/health").json()["sessions"])


async def test_no_episode_is_lost_when_a_server_is_killed(behind: tuple[str, list[Launched]]) -> None:
    url, servers = behind
    gyms = [Gym(url, timeout_s=60) for _ in range(6)]
    seen: list[list[str]] = []
    halfway: list[int] = []

    async def play(gym: Gym, number: int) -> None:
        world = await gym.open(TASK.model_copy(update={"seed": number}))
        texts = [(await world.step(str(step))).observation.text for step in range(20)]
        halfway.append(number)
        if len(halfway) == len(playing):
            opened.set()
        await reached.wait()
        texts += [(await world.step(str(step))).observation.text for step in range(20, 40)]
        assert world.over
        assert (await gym.state(world.session)).index == 40
        seen.append(texts)

    reached, opened = asyncio.Event(), asyncio.Event()
    playing = [asyncio.create_task(play(gym, number)) for number, gym in enumerate(gyms * 2)]
    await asyncio.wait_for(opened.wait(), 60)
    busy = max(servers, key=held)
    assert held(busy) < len(playing), "the clients are spread"
    os.killpg(busy.pid, signal.SIGKILL)
    reached.set()
    await asyncio.gather(*playing)
    said = "/".join(map(str, range(40)))
    assert sorted(texts[-1] for texts in seen) == sorted(f"train/1 {number} {said}" for number in range(12))
    for gym in gyms:
        await gym.close()


def test_plain_http_stays_with_the_server_that_opened_the_session(behind: tuple[str, list[Launched]]) -> None:
    url, servers = behind
    with httpx.Client(base_url=url) as http:
        for _ in range(9):
            opened = http.post("/v1/sessions", json={"task": TASK.model_dump()})
            id = opened.json()["session"]
            assert opened.headers["x-session"] == id
            step = {"index": 0, "action": {"text": "1"}}
            assert http.post(f"/v1/sessions/{id}/steps", json=step).status_code == 200
            assert http.get(f"/v1/sessions/{id}").json()["index"] == 1
    assert sum(map(held, servers)) == 9
