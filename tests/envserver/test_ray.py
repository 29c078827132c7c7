"""Worlds on a Ray cluster of two nodes, one of which is killed.

make test-ray
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from envserver.client import Gym
from envserver.errors import WorldSilent
from envserver.launch import launch
from envserver.schema import Task

pytest.importorskip("ray", reason="needs the extra [ray]")
pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(600)]


def node(*args: str) -> subprocess.Popen[str]:
    """A node of the cluster that has begun, in a session of its own, until it is killed."""
    command = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--num-cpus=4", "--num-gpus=0", *args]
    begun = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    )
    assert begun.stdout is not None
    said = []
    for line in begun.stdout:
        said.append(line)
        if "Ray runtime started" in line:
            return begun
    raise AssertionError("".join(said))


def end(process: subprocess.Popen[str]) -> None:
    """`kill -9` of a node and all its processes."""
    session = process.pid
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if os.getsid(int(entry.name)) == session:
                os.kill(int(entry.name), signal.SIGKILL)
        except ProcessLookupError:
            continue
    process.wait()


@pytest.fixture(scope="module")
def cluster() -> Iterator[list[subprocess.Popen[str]]]:
    """The nodes; the first is the head."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    address = f"127.0.0.1:{port}"
    told = {"RAY_ADDRESS": address, "RAY_USAGE_STATS_ENABLED": "0"}
    os.environ |= told
    nodes = [node("--head", f"--port={port}", "--include-dashboard=false")]
    try:
        nodes.append(node(f"--address={address}"))
        yield nodes
    finally:
        for name in told:
            del os.environ[name]
        for one in reversed(nodes):
            end(one)


async def test_no_episode_is_lost_when_a_node_is_killed(cluster: list[subprocess.Popen[str]]) -> None:
    worlds = ["worlds:Counter", "worlds:Wild", "textworld"]
    with launch(worlds, workers="ray:8", call_timeout_s=3.0) as server:
        async with Gym(server.url, timeout_s=120) as gym:
            async with asyncio.timeout(120):
                while len((await gym.health()).workers) < 8:  # noqa: ASYNC110
                    await asyncio.sleep(0.2)

            async def play(number: int) -> str:
                world = await gym.open(Task(env="counter", key="train/1", seed=number, options={"goal": 20}))
                for step in range(10):
                    await world.step(str(step))
                halfway.append(number)
                await killed.wait()
                for step in range(10, 20):
                    result = await world.step(str(step))
                assert world.over
                return result.observation.text

            killed, halfway = asyncio.Event(), list[int]()
            playing = [asyncio.create_task(play(number)) for number in range(16)]
            async with asyncio.timeout(60):
                while len(halfway) < 16:  # noqa: ASYNC110
                    await asyncio.sleep(0.05)
            await asyncio.to_thread(end, cluster[1])
            killed.set()
            said = "/".join(map(str, range(20)))
            assert await asyncio.gather(*playing) == [f"train/1 {number} {said}" for number in range(16)]

            (key,) = (await gym.tasks("textworld", "train", limit=1)).keys
            game = await gym.open(Task(env="textworld", key=key))
            assert (await game.step("look")).observation.text
            wild = await gym.open(Task(env="wild", key="train/1"))
            with pytest.raises(WorldSilent):
                await wild.step("sleep 60")
            text = (await asyncio.to_thread(httpx.get, f"{server.url}/metrics")).text
            assert "envserver_workers_killed_total 1.0" in text
            assert "envserver_worlds_rebuilt_total" in text


def test_a_cluster_that_is_not_there_is_told_in_a_sentence() -> None:
    command = [sys.executable, "-m", "envserver", "serve", "--env", "null", "--port", "0", "--workers", "ray"]
    environ = os.environ | {"RAY_ADDRESS": "127.0.0.1:9"}
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environ)
    assert ended.returncode == 1
    assert "envserver: no Ray cluster answers" in ended.stderr
    assert "Traceback" not in ended.stderr
