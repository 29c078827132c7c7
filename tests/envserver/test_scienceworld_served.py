"""ScienceWorld behind a server: Java processes that die, workers that die, and nothing left behind."""

from __future__ import annotations

import os
import shutil
import signal
import time

import psutil
import pytest

from envserver import Task
from envserver.client import Gym
from envserver.errors import UnknownTask
from envserver.launch import launch

pytest.importorskip("scienceworld", reason="needs the extra [scienceworld]")

pytestmark = [
    pytest.mark.scienceworld,
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 11 or newer"),
]

COMMANDS = ["teleport to greenhouse", "look around", "wait", "teleport to outside", "look around"]


def task(key: str, **options: object) -> Task:
    return Task.model_validate({"env": "scienceworld", "key": key, "options": options})


def javas(server_pid: int) -> list[psutil.Process]:
    return [child for child in psutil.Process(server_pid).children(recursive=True) if child.name() == "java"]


def gone(processes: list[psutil.Process], timeout_s: float = 10.0) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes):
            return True
        time.sleep(0.02)
    return False


async def test_killed_java_and_killed_workers_lose_nothing_and_leave_nothing(tmp_path):
    with launch(["scienceworld"], workers=1, log=tmp_path / "log") as server:
        async with Gym(server.url, timeout_s=100) as gym:
            assert javas(server.pid) == []
            with pytest.raises(UnknownTask, match="did you mean 'boil'"):
                await gym.open(task("boyl/1"))
            with pytest.raises(UnknownTask, match="the server's own"):
                await gym.open(task("boil/1", java_options=["-XX:OnOutOfMemoryError=id"]))

            calm = await gym.open(task("find-plant/3"))
            undisturbed = [(await calm.step(command)).model_dump_json() for command in COMMANDS]
            await calm.close()

            world, beside = await gym.open(task("find-plant/3")), await gym.open(task("melt/2", max_steps=3))
            (java,) = javas(server.pid)
            seen = [(await world.step(command)).model_dump_json() for command in COMMANDS[:2]]
            java.kill()
            seen += [(await world.step(command)).model_dump_json() for command in COMMANDS[2:3]]
            assert gone([java])

            (java,) = javas(server.pid)
            (worker,) = (await gym.health()).workers
            os.kill(int(str(worker["pid"])), signal.SIGKILL)
            seen += [(await world.step(command)).model_dump_json() for command in COMMANDS[3:]]
            assert seen == undisturbed
            assert gone([java])

            assert (await beside.step("look around")).observation.text
            left = javas(server.pid)
            assert len(left) == 1
    assert gone(left)
