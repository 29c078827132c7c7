"""ScienceWorld at length: every task by its gold path, and every task the same in another process."""

from __future__ import annotations

import json
import random
import shutil
import subprocess
import sys

import pytest

from envserver.envs._scienceworld.keys import VARIATIONS
from envserver.schema import Action, Task

pytest.importorskip("scienceworld", reason="needs the extra [scienceworld]")

from envserver.envs.scienceworld import ScienceWorld

pytestmark = [
    pytest.mark.slow,
    pytest.mark.scienceworld,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(shutil.which("java") is None, reason="needs Java 11 or newer"),
]

SIMPLIFICATIONS = (("easy",), (), ("openContainers", "teleportAction"))


@pytest.mark.parametrize("task", VARIATIONS)
def test_a_tasks_gold_path_leads_to_a_score_of_100(task):
    env = ScienceWorld(ScienceWorld.Config(max_steps=500, reward="dense"))
    try:
        result = env.reset(Task(env="scienceworld", key=f"{task}/{VARIATIONS[task] - 1}"))
        rewards = []
        while not result.over:
            action = env.expert()
            assert action is not None, f"nothing to do after {len(rewards)} steps"
            result = env.step(action)
            rewards.append(result.reward)
    finally:
        env.close()
    assert result.success is True
    assert sum(rewards) == pytest.approx(1)


def transcripts(together: bool, steps: int = 25) -> dict[str, list[str]]:
    """Random play in every task: one after the other, or all of them in turns, the last opened first."""
    playing = []
    out: dict[str, list[str]] = {}
    tasks = list(enumerate(VARIATIONS))
    for number, task in reversed(tasks) if together else tasks:
        env = ScienceWorld(ScienceWorld.Config(simplifications=SIMPLIFICATIONS[number % 3], admissible=True))
        key = f"{task}/{number * 37 % VARIATIONS[task]}"
        if "conductivity" in task or "power" in task:
            env = ScienceWorld(ScienceWorld.Config(admissible=True))
        playing.append((env, env.reset(Task(env="scienceworld", key=key)), random.Random(key)))
        out[key] = [playing[-1][1].model_dump_json()]
        if not together:
            playing = turns(playing, out, [key], steps)
    if together:
        turns(playing, out, list(out), steps)
    return out


def turns(playing, out, keys, steps):
    """Play everything that is open to its end, a step each in turn."""
    named = list(zip(keys, playing, strict=True))
    for _ in range(steps):
        for at, (key, (env, result, rng)) in enumerate(named):
            if not result.over:
                result = env.step(Action(text=rng.choice(result.observation.choices)))
                out[key].append(result.model_dump_json())
                named[at] = (key, (env, result, rng))
    for env, _, _ in playing:
        env.close()
    return []


def test_every_task_is_the_same_alone_and_beside_all_others_in_another_process():
    code = (
        "import json, sys; sys.path.insert(0, 'tests/envserver'); import test_scienceworld_slow as slow\n"
        "print(json.dumps(slow.transcripts(together=True)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    beside = json.loads(done.stdout.splitlines()[-1])
    alone = transcripts(together=False)
    assert alone.keys() == beside.keys()
    assert {key: alone[key] == beside[key] for key in alone} == dict.fromkeys(alone, True)
    assert sum(len(results) for results in alone.values()) > 300


def test_two_hundred_worlds_of_which_sixteen_at_once_fit_64_mib():
    config = ScienceWorld.Config(java_heap_bytes=64 << 20)
    worlds = []
    for number in range(200):
        env = ScienceWorld(config)
        result = env.reset(Task(env="scienceworld", key=f"find-plant/{number}"))
        assert result.observation.text
        worlds.append(env)
        if len(worlds) == 16:
            for world in worlds[:12]:
                assert world.step(Action(text="look around")).observation.text
                world.close()
            del worlds[:12]
    first = worlds[0].simulator.jvm
    assert first.tenants == len(worlds)
    assert all(world.simulator.jvm is first for world in worlds), "a JVM ran out of memory and was replaced"
    for world in worlds:
        world.close()
    first.end()
