"""ScienceWorld: a step of ours against the package's own `step`, on the same commands in the same tasks.

`python -m envserver.bench.scienceworld` reads a Drive as JSON on stdin and drives it in process.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from statistics import median
from typing import Any, Literal

from envserver import plugins
from envserver.bench.apart import apart
from envserver.bench.report import Table, ratio
from envserver.core import Env
from envserver.schema import Action, Task

__all__ = ["measure"]

KEYS = ("boil/3", "find-plant/5", "test-conductivity/7", "mendelian-genetics-known-plant/2")
COMMANDS = (
    "look around",
    "inventory",
    "teleport to kitchen",
    "open cupboard",
    "pick up thermometer",
    "use thermometer on sink",
    "activate sink",
    "look at sink",
    "teleport to workshop",
    "look around",
    "teleport to greenhouse",
    "look around",
    "wait1",
    "look at agent",
    "teleport to living room",
)
WARM = 2
"""Rounds in which Java compiles the simulator: a step of the first takes two to four times as long."""
WAYS = ("step alone", "step, room and inventory", "step, room, inventory and valid commands")


@dataclass(frozen=True)
class Drive:
    """Commands to play in each task; the first WARM rounds are not measured."""

    who: Literal["ours", "package", "simulator"]
    """`simulator`: what the package's own step calls first, and nothing else."""
    keys: tuple[str, ...]
    rounds: int
    way: int = 0
    """Of WAYS; the package knows the last one alone."""


@dataclass(frozen=True)
class Driven:
    """Medians of one drive."""

    open_ms: float
    step_ms: float


def measure(quick: bool) -> list[Table]:
    """A step and an opening, ours against the package's."""
    keys, repeats, rounds = (KEYS[1:2], 1, WARM + 1) if quick else (KEYS, 3, WARM + 2)
    package: list[Driven] = []
    simulator: list[Driven] = []
    ours: list[list[Driven]] = [[] for _ in WAYS]
    for _ in range(repeats):
        package.append(_in_process(Drive("package", keys, rounds)))
        simulator.append(_in_process(Drive("simulator", keys, rounds)))
        for way, found in enumerate(ours):
            found.append(_in_process(Drive("ours", keys, rounds, way)))
    theirs = [one.step_ms for one in package]
    openings = [one.open_ms for one in package]
    note = (
        f"{len(keys)} tasks with the simplification `easy`, {len(COMMANDS)} commands in each, in process, the "
        f"first {WARM} of {rounds} rounds thrown away. Medians of {repeats} alternated runs, all with 512 MiB of heap "
        "and serial GC."
    )
    rows = [("the simulator's own step, bare", simulator), *zip(WAYS, ours, strict=True)]
    steps = [
        (name, median(theirs), median(mine), ratio(theirs, mine))
        for name, mine in ((name, [one.step_ms for one in found]) for name, found in rows)
    ]
    opened = [one.open_ms for one in ours[0]]
    return [
        Table(
            "ScienceWorld: a step",
            f"The package's `step` always lists the valid commands. Bare: its simulator in its JVM, asked for nothing "
            f"but the text a command leads to, which is the least a step can be. {note}",
            ("", "package, ms", "this, ms", "times faster"),
            steps,
        ),
        Table(
            "ScienceWorld: opening a task",
            f"`load` and `reset` of a running environment against a new world in a running JVM. {note}",
            ("package, ms", "ours, ms", "times faster"),
            [(median(openings), median(opened), ratio(openings, opened))],
        ),
    ]


def _in_process(drive: Drive) -> Driven:
    java = None if drive.who == "ours" else {"JAVA_TOOL_OPTIONS": "-Xmx512m -XX:+UseSerialGC"}
    return Driven(**apart("envserver.bench.scienceworld", drive, timeout_s=600, env=java))


def _driven(drive: Drive) -> Driven:
    start = _ours(drive.way) if drive.who == "ours" else _package(bare=drive.who == "simulator")
    open_ms: list[float] = []
    step_ms: list[float] = []
    for number in range(drive.rounds):
        for key in drive.keys:
            began = time.perf_counter()
            step = start(key)
            opened = time.perf_counter()
            for command in COMMANDS:
                step(command)
            ended = time.perf_counter()
            if number >= WARM:
                open_ms.append(1000 * (opened - began))
                step_ms.append(1000 * (ended - opened) / len(COMMANDS))
    return Driven(median(open_ms), median(step_ms))


def _ours(way: int) -> Callable[[str], Callable[[str], Any]]:
    kind = plugins.load("envserver.envs", "scienceworld", Env)  # type: ignore[type-abstract]
    show = ["look", "inventory"] if way else []
    config = kind.Config.model_validate({"show": show, "admissible": way == 2, "max_steps": 1000})
    open_worlds: list[Env] = []

    def start(key: str) -> Callable[[str], Any]:
        while open_worlds:
            open_worlds.pop().close()
        env = kind(config)
        open_worlds.append(env)
        env.reset(Task(env="scienceworld", key=key))
        return lambda command: env.step(Action(text=command))

    return start


def _package(*, bare: bool) -> Callable[[str], Callable[[str], Any]]:
    from scienceworld import ScienceWorldEnv

    env = ScienceWorldEnv("", envStepLimit=1000)

    def start(key: str) -> Callable[[str], Any]:
        task, _, variation = key.partition("/")
        env.load(task, int(variation), "easy")
        env.reset()
        played: Callable[[str], Any] = env.server.step if bare else env.step
        return played

    return start


if __name__ == "__main__":
    print(json.dumps(asdict(_driven(Drive(**json.load(sys.stdin))))))
