"""A defective repository as a player has it, for tests of the world `repo`."""

from __future__ import annotations

from envserver import Action, Task
from envserver.envs.repo import Repo

KEY = "inventory/n1-k1-r1/train/0042"


def begun(key: str = KEY, seed: int = 0, **options):
    world = Repo(Repo.Config(**options))
    return world, world.reset(Task(env="repo", key=key, seed=seed))


def call(tool: str, **arguments) -> Action:
    return Action(tool=tool, arguments=arguments)


def said(world, tool: str, **arguments) -> str:
    return world.step(call(tool, **arguments)).observation.text


def gold(world):
    """The expert's calls, played on a copy."""
    twin, calls, result = world.copy(), [], None
    while result is None or not result.over:
        calls.append(twin.expert())
        result = twin.step(calls[-1])
    return calls, result


def sourced(world) -> str:
    """The file with the defect."""
    (path,) = world.work.gold()
    return path
