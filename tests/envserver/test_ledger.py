"""Sessions that outlive their server."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from envserver.client import Gym
from envserver.errors import EpisodeOver, UnknownSession
from envserver.launch import Launched, launch
from envserver.ledger import Ledger
from envserver.schema import Action, Task

WORLDS = ["worlds:Counter", "worlds:Trivial", "worlds:Random", "worlds:Wild"]


def of(env: str, goal: int = 9) -> Task:
    return Task(env=env, key="train/1", seed=4, options={"goal": goal})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])


def kill(server: Launched) -> None:
    os.killpg(server.pid, signal.SIGKILL)
    server._process.wait()  # The kernel drops a lock with its process, not with the signal.


async def test_sessions_of_a_killed_server_go_on_in_the_next_one(tmp_path: Path) -> None:
    port = free_port()
    async with Gym(f"http://127.0.0.1:{port}", timeout_s=60) as gym:
        with launch(WORLDS, port=port, workers=1, ledger=tmp_path) as server:
            worlds = [await gym.open(of(env), session=f"{env}.1") for env in ("counter", "trivial", "random")]
            for world in worlds:
                await world.step("héllo\n")
                await world.step(Action(tool="say", arguments={"n": [1, 0.10]}))
            fork = await worlds[0].fork(1)
            over = await gym.open(of("counter", goal=1))
            end = await over.step("1")
            before = [await gym.state(world.session) for world in worlds]
            kill(server)
        with launch(WORLDS, port=port, workers=1, ledger=tmp_path) as server:
            for world, known in zip(worlds[:2], before, strict=False):
                text = (await world.step("on")).observation.text
                assert text == "train/1 4 héllo\n//on"
                state = await gym.state(world.session)
                assert (state.actions[:2], state.results[:3]) == (known.actions, known.results)
                assert (state.owner, state.outcome) == (known.owner, None)
            assert (await fork.step("2")).observation.text == "train/1 4 héllo\n/2"
            with pytest.raises(UnknownSession):
                await worlds[2].step("on")
            assert (await gym.state(over.session)).results[-1] == end
            again = await gym.open(of("counter"), session="counter.1")
            assert again.result == before[0].results[0]
            for world in (*worlds, fork, over):
                await world.close()
            assert os.listdir(tmp_path) == []


async def test_a_server_takes_up_what_another_has_left_and_nothing_that_is_played(tmp_path: Path) -> None:
    with launch(WORLDS, workers=1, ledger=tmp_path) as one, launch(WORLDS, workers=1, ledger=tmp_path) as other:
        async with Gym(one.url) as first, Gym(other.url) as second:
            world = await first.open(of("counter"))
            await world.step("1")
            with pytest.raises(UnknownSession):
                await second.state(world.session)
            # An id that is played elsewhere may be opened here, but the file is not this server's to write or remove.
            same = await second.open(of("counter"), session=world.session)
            await same.step("7")
            await same.close()
            await world.step("2")
            kill(one)
            state = await second.state(world.session)
            assert [action.text for action in state.actions] == ["1", "2"]


async def test_a_session_that_failed_is_not_kept(tmp_path: Path) -> None:
    with launch(WORLDS, workers=1, ledger=tmp_path) as server:
        async with Gym(server.url) as gym:
            world = await gym.open(of("wild"))
            assert os.listdir(tmp_path) == [f"{world.session}.session"]
            with pytest.raises(Exception, match="told to"):
                await world.step("raise")
            assert os.listdir(tmp_path) == []
            with pytest.raises(EpisodeOver):
                await gym._call("step", world.session, {"index": 0, "action": {"text": "other"}})


async def test_a_step_that_was_half_written_was_not_played(tmp_path: Path) -> None:
    with launch(WORLDS, workers=1, ledger=tmp_path) as server:
        async with Gym(server.url) as gym:
            world = await gym.open(of("trivial"))
            await world.step("1")
            await world.step("2")
            kill(server)
    path = tmp_path / f"{world.session}.session"
    whole = path.read_bytes()
    lines = whole.splitlines(keepends=True)
    assert len(lines) == 6
    ledger = Ledger(tmp_path)
    for cut in range(sum(map(len, lines[:4])), len(whole)):
        path.write_bytes(whole[:cut])
        kept = ledger.recall(world.session)
        assert kept is not None
        assert kept.actions == ["1"]
        assert path.read_bytes() == b"".join(lines[:4])
        ledger.release(world.session)
    for text in (b"", b"\n\n\n", whole[:40], b"{}\n" + whole, whole.replace(b'"began_at":0', b'"began_at":7')):
        path.write_bytes(text)
        assert ledger.recall(world.session) is None
    assert ledger.recall("../" + world.session) is None
    assert ledger.recall("\0") is None


def test_what_nobody_plays_is_swept_when_its_lease_has_run_out(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path)
    for name in ("old", "new"):
        (tmp_path / f"{name}.session").write_text("{}")
    os.utime(tmp_path / "old.session", (time.time() - 100, time.time() - 100))
    assert ledger.sweep(50) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["new.session"]


def test_a_directory_that_cannot_hold_sessions_is_told_before_anything_is_served(tmp_path: Path) -> None:
    taken = tmp_path / "taken"
    taken.write_text("a file")
    command = [sys.executable, "-m", "envserver", "serve", "--env", "null", "--port", "0", "--ledger", str(taken)]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 1
    assert ended.stderr == f"envserver: sessions cannot be kept in '{taken}': File exists\n"
