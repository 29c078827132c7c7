"""What a task needs is made outside of the workers, once, and not for ever."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psutil
import pytest

from envserver.client import Gym
from envserver.errors import UnknownTask, WorldFailed
from envserver.launch import Launched, launch
from envserver.schema import Task


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Launched]:
    """One worker, so whoever waits for a worker waits for all; one thing made at a time, each in 1 s."""
    options = {"forge": {"place": str(tmp_path)}}
    with launch(["forge:Forge"], workers=1, expert=True, env_options=options, open_timeout_s=1.0) as launched:
        yield launched


@pytest.fixture
async def gym(server: Launched) -> AsyncIterator[Gym]:
    async with Gym(server.url, timeout_s=30) as gym:
        yield gym


def task(key: str, **options: str) -> Task:
    return Task(env="forge", key=key, options=options)


def maker(server: Launched) -> psutil.Process:
    children = psutil.Process(server.pid).children()
    return next(child for child in children if "envserver.maker" in child.cmdline())


async def begun(place: Path, key: str) -> int:
    """The process that makes `key`, once it has begun."""
    while True:
        for line in (place / "log").read_text().splitlines() if (place / "log").exists() else []:
            if line.startswith(f"begin {key} "):
                return int(line.split()[-1])
        await asyncio.sleep(0.01)


async def test_a_neighbour_plays_on_while_something_is_made(gym: Gym, tmp_path: Path) -> None:
    neighbour = await gym.open(task("plain"))
    worker = neighbour.result.observation.text
    opening = asyncio.create_task(gym.open(task("held")))
    child = await begun(tmp_path, "held")
    assert worker != f"pid {child}"
    for number in range(20):
        assert (await neighbour.step(str(number))).observation.text == str(number)
    assert (await gym.open(task("plain", colour="red"))).result.observation.text
    assert not opening.done()
    (tmp_path / "go").touch()
    assert (await opening).result.observation.text == worker


async def test_what_many_tasks_need_is_made_once_and_one_thing_at_a_time(gym: Gym, tmp_path: Path) -> None:
    tasks = [task(key, colour=colour) for colour in ("red", "blue", "") for key in ("plain", "other")]
    worlds = await asyncio.gather(*map(gym.open, tasks))
    assert len({world.result.observation.text for world in worlds}) == 1
    said = [line.split()[:2] for line in (tmp_path / "log").read_text().splitlines()]
    assert sorted(said[:2]) in ([["begin", "plain"], ["end", "plain"]], [["begin", "other"], ["end", "other"]])
    assert len(said) == 4
    assert [verb for verb, _ in said] == ["begin", "end"] * 2
    assert (await gym.demonstration(task("plain"))).actions == []


async def test_what_cannot_be_made_is_told_to_the_opener_and_the_server_is_up(gym: Gym, tmp_path: Path) -> None:
    with pytest.raises(WorldFailed, match=r"failed to begin 'raises': OSError: \[Errno 28\] No space left on device"):
        await gym.open(task("raises"))
    with pytest.raises(WorldFailed, match="making 'dies' was killed; is there enough memory"):
        await gym.open(task("dies"))
    with pytest.raises(WorldFailed, match="not made within 1 s; make it beforehand"):
        await gym.open(task("hangs"))
    assert not psutil.pid_exists(await begun(tmp_path, "hangs"))
    with pytest.raises(UnknownTask, match="no task 'nowhere'"):
        await gym.open(task("nowhere"))
    with pytest.raises(UnknownTask, match="'place' is the server's own"):
        await gym.open(task("plain", place="/tmp"))
    assert (await gym.open(task("plain"))).result.observation.text


async def test_without_a_maker_the_worlds_make_what_they_need(server: Launched, gym: Gym, tmp_path: Path) -> None:
    await gym.open(task("plain"))
    opening = asyncio.create_task(gym.open(task("held")))
    await begun(tmp_path, "held")
    (tmp_path / "go").touch()
    first = maker(server)
    first.kill()
    assert (await opening).result.observation.text
    assert (await gym.open(task("other"))).result.observation.text


async def test_a_killed_server_leaves_nobody_who_makes(server: Launched, gym: Gym, tmp_path: Path) -> None:
    opening = asyncio.create_task(gym.open(task("hangs")))
    left = [psutil.Process(await begun(tmp_path, "hangs")), maker(server)]
    os.kill(server.pid, signal.SIGKILL)
    opening.cancel()
    gone, alive = await asyncio.to_thread(psutil.wait_procs, left, 10)
    assert (len(gone), alive) == (2, [])
