"""Workers that die, hang, grow and age: nothing is lost but time."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import httpx
import psutil
import pytest

from envserver import Task
from envserver.client import Gym
from envserver.errors import EpisodeOver, UnknownEnv, UnknownTask, WorldFailed, WorldSilent
from envserver.launch import Launched, launch

STEPS = 8


def of(env: str, seed: int = 0, **options: int) -> Task:
    return Task(env=env, key="train/1", seed=seed, options={"goal": 50, **options})


async def pids(gym: Gym) -> set[int]:
    return {int(str(worker["pid"])) for worker in (await gym.health()).workers}


async def kill(gym: Gym) -> int:
    killed = 0
    for pid in await pids(gym):
        # The server may not have noticed yet that this one is dead already.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
            killed += 1
    return killed


async def replaced(gym: Gym, workers: set[int]) -> None:
    async with asyncio.timeout(15):
        while workers & await pids(gym):  # noqa: ASYNC110
            await asyncio.sleep(0.05)


def count(server: Launched, name: str) -> float:
    found = re.search(rf"^envserver_{name}_total (\S+)$", httpx.get(f"{server.url}/metrics").text, re.M)
    assert found is not None
    return float(found[1])


async def played(gym: Gym, seed: int) -> list[str]:
    async with await gym.open(of("counter", seed)) as world:
        return [world.result.model_dump_json()] + [
            (await world.step(f"{seed} {turn}")).model_dump_json() for turn in range(STEPS)
        ]


async def test_workers_killed_in_the_middle_of_64_episodes_lose_nothing(server: Launched, gym: Gym) -> None:
    undisturbed = await asyncio.gather(*(played(gym, seed) for seed in range(64)))
    rebuilt = count(server, "worlds_rebuilt")
    worlds = await asyncio.gather(*(gym.open(of("counter", seed)) for seed in range(64)))
    seen = [[world.result.model_dump_json()] for world in worlds]
    killed = 0
    for turn in range(STEPS):
        steps = [asyncio.create_task(world.step(f"{seed} {turn}")) for seed, world in enumerate(worlds)]
        if turn in (2, 5, 6):
            await asyncio.sleep(0.003 * (turn - 2))
            killed += await kill(gym)
        for mine, result in zip(seen, await asyncio.gather(*steps), strict=True):
            mine.append(result.model_dump_json())
    assert killed >= 3
    assert seen == undisturbed
    assert count(server, "worlds_rebuilt") - rebuilt >= 64
    await asyncio.gather(*(world.close() for world in worlds))


async def test_a_killed_template_is_started_again_and_nothing_is_lost(server: Launched, gym: Gym) -> None:
    worlds = await asyncio.gather(*(gym.open(of("counter", seed)) for seed in range(4)))
    await asyncio.gather(*(world.step("a") for world in worlds))
    before = await pids(gym)
    (template,) = psutil.Process(server.pid).children()
    template.kill()
    await asyncio.gather(*(world.step("b") for world in worlds))
    await replaced(gym, before)
    answers = await asyncio.gather(*(world.step("c") for world in worlds))
    assert [answer.observation.text for answer in answers] == [f"train/1 {seed} a/b/c" for seed in range(4)]


async def test_a_hung_step_is_cut_at_its_deadline_and_its_siblings_go_on(
    server: Launched, gym: Gym, http: httpx.AsyncClient
) -> None:
    hung, *siblings = await asyncio.gather(*(gym.open(of("wild", seed)) for seed in range(5)))
    await asyncio.gather(*(sibling.step("a") for sibling in siblings))
    killed, died = count(server, "workers_killed"), count(server, "workers_died")
    outcome, *others = await asyncio.gather(
        hung.step("sleep 60"), *(sibling.step("b") for sibling in siblings), return_exceptions=True
    )
    assert isinstance(outcome, WorldSilent)
    assert [getattr(other, "observation", other) for other in others] == [
        sibling.result.observation for sibling in siblings
    ]
    assert siblings[0].result.observation.text == "train/1 1 a/b"
    assert (await gym.state(hung.session)).outcome == "timeout"
    with pytest.raises(EpisodeOver):
        await gym._call("step", hung.session, {"index": 0, "action": {"text": "again"}})
    step = {"index": 0, "action": {"text": "sleep 60"}}
    refused = await http.post(f"/v1/sessions/{hung.session}/steps", json=step)
    assert (refused.status_code, refused.json()["type"]) == (504, "WorldSilent")
    assert (count(server, "workers_killed"), count(server, "workers_died")) == (killed + 1, died)


@pytest.mark.parametrize(("told", "limits"), [("grow 80", {"worker_memory_limit_bytes": 90 << 20}), ("a", {})])
async def test_a_recycled_worker_loses_nothing(told: str, limits: dict[str, int]) -> None:
    with launch(["worlds:Wild"], workers=1, **(limits or {"worker_age_limit_s": 0.5})) as server:
        async with Gym(server.url, timeout_s=20) as gym:
            grown, other = await gym.open(of("wild")), await gym.open(of("wild", 1))
            await other.step("a")
            before = await pids(gym)
            if limits:
                await asyncio.gather(grown.step(told), other.step("b"))
                await grown.close()
            else:
                await other.step("b")
            await replaced(gym, before)
            assert (await other.step("c")).observation.text == "train/1 1 a/b/c"
            assert count(server, "workers_recycled") >= 1
            assert count(server, "workers_died") == 0


async def test_a_step_that_kills_its_worker_is_given_up_and_its_siblings_are_not(gym: Gym) -> None:
    siblings = await asyncio.gather(*(gym.open(of("wild", seed)) for seed in range(6)))
    world = await gym.open(of("wild", 9))
    outcome, *others = await asyncio.gather(
        world.step("exit"), *(sibling.step("a") for sibling in siblings), return_exceptions=True
    )
    assert isinstance(outcome, WorldFailed)
    assert "died 3 times in the same call" in str(outcome)
    assert (await gym.state(world.session)).outcome == "infra_error"
    assert not [other for other in others if isinstance(other, BaseException)]
    answers = await asyncio.gather(*(sibling.step("b") for sibling in siblings))
    assert [answer.observation.text for answer in answers] == [f"train/1 {seed} a/b" for seed in range(6)]


@pytest.mark.parametrize(("env", "why"), [("random", "does not promise"), ("liar", "replay differs")])
async def test_a_world_that_cannot_be_replayed_is_a_typed_loss(gym: Gym, env: str, why: str) -> None:
    world = await gym.open(of(env))
    await world.step("a")
    await kill(gym)
    with pytest.raises(WorldFailed, match=why):
        await world.step("b")
    assert (await gym.state(world.session)).outcome == "infra_error"


async def test_a_fork_survives_the_death_of_its_worker(gym: Gym) -> None:
    world = await gym.open(of("copyable"))
    await world.step("a")
    fork = await world.fork()
    await fork.step("b")
    await kill(gym)
    one, two, three = await asyncio.gather(world.step("c"), fork.step("d"), world.fork(1))
    assert one.observation.text.endswith("a/c")
    assert two.observation.text.endswith("a/b/d")
    assert three.result.observation.text.endswith("1 0 a")


async def test_an_environment_that_cannot_be_loaded_is_left_out_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "broken_worlds.py").write_text(
        textwrap.dedent(
            """
            import os
            from worlds import Counter

            class Warms(Counter):
                @classmethod
                def warm(cls, config):
                    os._exit(7)

            class Lists(Counter):
                @classmethod
                def tasks(cls, config, split):
                    raise OSError("no games here")
            """
        )
    )
    path = os.environ["PYTHONPATH"]
    os.environ["PYTHONPATH"] = f"{tmp_path}{os.pathsep}{path}"
    try:
        names = ["broken_worlds:Warms", "broken_worlds:Lists", "worlds:Counter"]
        with launch(names, workers=1, log=tmp_path / "log") as server:
            async with Gym(server.url, timeout_s=20) as gym:
                assert [card.env for card in await gym.envs()] == ["counter"]
                with pytest.raises(UnknownEnv, match="exit code 7"):
                    await gym.open(of("warms"))
                with pytest.raises(UnknownEnv, match="no games here"):
                    await gym.card("lists")
                await (await gym.open(of("counter"))).step("a")
    finally:
        os.environ["PYTHONPATH"] = path


async def test_what_a_task_gets_wrong_is_said_and_costs_no_worker(gym: Gym) -> None:
    before = await pids(gym)
    for task, why in (
        (Task(env="counter", key="train/77"), "no task 'train/77'"),
        (Task(env="counter", key="train/0", options={"gaol": 3}), "no option is named 'gaol'"),
        (Task(env="counter", key="train/0", options={"goal": "x"}), "refuses the task's options"),
    ):
        with pytest.raises(UnknownTask, match=re.escape(why)):
            await gym.open(task)
    with pytest.raises(UnknownEnv, match="did you mean 'counter'"):
        await gym.open(Task(env="countr", key="train/0"))
    assert before == await pids(gym)


def family(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def gone(processes: list[psutil.Process], timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        if not any(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in processes):
            return True
        time.sleep(0.02)
    return False


async def test_a_stopped_server_leaves_no_process_not_even_a_busy_one() -> None:
    with launch(["worlds:Wild"], workers=2) as server:
        async with Gym(server.url, timeout_s=20) as gym:
            busy, idle = await gym.open(of("wild")), await gym.open(of("wild"))
            await idle.step("a")
            task = asyncio.create_task(busy.step("sleep 60"))
            await asyncio.sleep(0.2)
            processes = family(server.pid)
            assert len(processes) == 4
            began = time.monotonic()
            await asyncio.to_thread(server.stop)
            assert time.monotonic() - began < 8
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
    assert gone(processes, 5)


@pytest.mark.parametrize("victim", ["server", "launcher"])
def test_a_killed_server_or_launcher_leaves_no_process(victim: str) -> None:
    code = """
        import sys, time
        from envserver.launch import launch
        with launch(["worlds:Counter"], workers=2) as server:
            print(server.pid, server.url, flush=True)
            time.sleep(60)
    """
    launcher = subprocess.Popen([sys.executable, "-c", textwrap.dedent(code)], stdout=subprocess.PIPE, text=True)
    try:
        assert launcher.stdout is not None
        pid, url = launcher.stdout.readline().split()
        deadline = time.monotonic() + 20
        while len(httpx.get(f"{url}/health").json()["workers"]) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        processes = family(int(pid))
        assert len(processes) >= 4
        os.kill(int(pid) if victim == "server" else launcher.pid, signal.SIGKILL)
        assert gone(processes, 10)
    finally:
        launcher.kill()
        launcher.wait()
