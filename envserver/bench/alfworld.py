"""ALFWorld: our engine, the package's with our caching, and the package as it comes, given the same commands.

`python -m envserver.bench.alfworld` reads a Drive as JSON on stdin and plays it: each engine in a process of its own.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from typing import Any, Literal

import uvloop

from envserver.bench.apart import apart
from envserver.bench.report import Table, percentile, ratio
from envserver.client import Gym, World
from envserver.envs._alfworld.goals import TYPES
from envserver.envs._alfworld.keys import GeneratedKey
from envserver.launch import launch
from envserver.schema import Task

__all__ = ["measure"]

Who = Literal["native", "stock", "package"]
NAMES: dict[Who, str] = {"native": "native", "stock": "stock, as served", "package": "the package as it comes"}
SESSIONS = 64


@dataclass(frozen=True)
class Drive:
    """Games to play at random: the same commands whoever plays, since all of them say the same."""

    who: Who
    keys: tuple[str, ...]
    steps: int
    rounds: int
    """Times that each game is played; a later time it is known."""


@dataclass(frozen=True)
class Played:
    """What a drive took."""

    first_ms: tuple[float, ...]
    """Loading each game and opening it for the first time."""
    reset_ms: tuple[float, ...]
    """Opening each game again."""
    steps_s: float
    """With the admissible commands and the goal's check at every step."""


def measure(quick: bool) -> list[Table]:
    """Loading, resets and steps side by side; then through the server, and the index of the official games."""
    repeats = 1 if quick else 3
    games, package_steps, native_steps = (1, 8, 400) if quick else (3, 20, 2000)
    keys = tuple(str(GeneratedKey(kind, "train", 0)) for kind in TYPES[:games])
    drives = (
        Drive("native", keys, native_steps, 3),
        Drive("stock", keys, package_steps * 5, 2),
        Drive("package", keys, package_steps, 2),
    )
    runs: dict[Who, list[Played]] = {drive.who: [] for drive in drives}
    for _ in range(repeats):
        for drive in drives:
            runs[drive.who].append(_in_process(drive))

    def of(who: Who, what: Callable[[Played], float]) -> list[float]:
        return [what(run) for run in runs[who]]

    measures: tuple[tuple[str, Callable[[Played], float]], ...] = (
        ("load and first opening, ms", lambda run: median(run.first_ms)),
        ("reset of a known game, ms", lambda run: median(run.reset_ms)),
        ("steps/s", lambda run: run.steps_s),
    )
    rows: list[tuple[str | float, ...]] = []
    for label, what in measures:
        found = {who: of(who, what) for who in NAMES}
        better = ratio(found["native"], found["package"])
        rows.append((label, *(median(found[who]) for who in NAMES), better if label == "steps/s" else 1 / better))
    return [
        Table(
            "ALFWorld: our engine against the package's",
            f"{games} generated games, random admissible commands; these are listed and the goal is checked at every "
            f"step. One process each. Medians of {repeats} alternated runs.",
            ("", *NAMES.values(), "native, times better than the package"),
            rows,
        ),
        _served(quick, median(of("native", lambda run: run.steps_s))),
        *_indexed(),
    ]


def _served(quick: bool, native_steps_s: float) -> Table:
    """New sessions and many sessions at one worker."""
    with launch(["alfworld"], workers=1) as server:
        first_ms, again_ms, apart, together = uvloop.run(_through(server.url, 3 if quick else 20, 10 if quick else 30))
    return Table(
        "ALFWorld: through the server",
        f"One worker, native engine. A new session is opened and stepped once, on a game that is made for it and on a "
        f"known one; {SESSIONS} sessions over one WebSocket, choices shown: each steps when its last step is "
        "answered, or all of them step in one frame and wait for one another. Transport is what a step takes beyond "
        "our engine's in process: client, server, pipe and JSON.",
        ("", "p50", "p99"),
        [
            ("new game: opening and first step, ms", percentile(first_ms, 0.5), percentile(first_ms, 0.99)),
            ("known game: opening and first step, ms", percentile(again_ms, 0.5), percentile(again_ms, 0.99)),
            (f"steps/s at {SESSIONS} sessions, each on its own", apart, None),
            (f"steps/s at {SESSIONS} sessions, {SESSIONS} steps a frame", together, None),
            ("transport's part of a step, each on its own", 1 - apart / native_steps_s, None),
            (f"transport's part of a step, {SESSIONS} steps a frame", 1 - together / native_steps_s, None),
        ],
    )


async def _through(url: str, games: int, steps: int) -> tuple[list[float], list[float], float, float]:
    """Opening and first step in ms, on new games and again; steps/s of many sessions apart and together."""
    async with Gym(url) as gym:
        await (await gym.open(_task("pick_and_place_simple", 9999))).close()
        times: tuple[list[float], list[float]] = ([], [])
        for measured in times:
            for number in range(games):
                began = time.perf_counter()
                world = await gym.open(_task("pick_clean_then_place_in_recep", number))
                await world.step("look")
                measured.append(1000 * (time.perf_counter() - began))
                await world.close()
        speeds = []
        for walk in (_apart, _together):
            worlds = [await gym.open(_task(TYPES[at % len(TYPES)], at)) for at in range(SESSIONS)]
            began = time.perf_counter()
            taken = await walk(worlds, steps)
            speeds.append(taken / (time.perf_counter() - began))
            for world in worlds:
                await world.close()
        return (*times, speeds[0], speeds[1])


async def _apart(worlds: Sequence[World], steps: int) -> int:
    """Steps taken when nobody waits for anybody."""
    return sum(await asyncio.gather(*(_walk(world, random.Random(at), steps) for at, world in enumerate(worlds))))


async def _together(worlds: Sequence[World], steps: int) -> int:
    """Steps taken when all step at once."""
    rngs, taken = [random.Random(at) for at in range(len(worlds))], 0
    for _ in range(steps):
        taken += sum(await asyncio.gather(*(_walk(world, rng, 1) for world, rng in zip(worlds, rngs, strict=True))))
    return taken


async def _walk(world: World, rng: random.Random, steps: int) -> int:
    taken = 0
    while taken < steps and not world.over:
        await world.step(rng.choice(world.result.observation.choices))
        taken += 1
    return taken


def _task(kind: str, number: int) -> Task:
    return Task(env="alfworld", key=str(GeneratedKey(kind, "train", number)))


def _indexed() -> list[Table]:
    """The index of the official games, where this machine has them."""
    from envserver.envs._alfworld.data import DataUnreadable, open_data

    with tempfile.TemporaryDirectory() as cache:
        try:
            began = time.perf_counter()
            data = open_data(None, Path(cache))
            took_ms = 1000 * (time.perf_counter() - began)
        except DataUnreadable:
            return []
        found = [(split, len(data.ids(split)), None) for split in data.index.games]
        return [
            Table(
                "ALFWorld: index of the official games",
                "Of `$ALFWORLD_DATA`, by a process that has not read it before; a .jsonl.xz is unpacked on the way.",
                ("", "games", "ms"),
                [*found, ("all", sum(games for _, games, _ in found), took_ms)],
            )
        ]


def _in_process(drive: Drive) -> Played:
    found = apart("envserver.bench.alfworld", drive, timeout_s=300)
    return Played(tuple(found["first_ms"]), tuple(found["reset_ms"]), found["steps_s"])


def _driven(drive: Drive) -> Played:
    """The drive in this process."""
    from envserver.envs._alfworld.keys import parse
    from envserver.envs._alfworld.making import make

    opener: Any = {"native": _Native, "stock": _Stock, "package": _Package}[drive.who]
    opener.warm()
    times_ms: tuple[list[float], list[float]] = ([], [])
    steps, stepping_s = 0, 0.0
    for key in drive.keys:
        parsed = parse(key)
        assert isinstance(parsed, GeneratedKey)
        row, _ = make(parsed)
        game = opener(row)
        for at in range(drive.rounds):
            began = time.perf_counter()
            choices = game.reset()
            times_ms[min(at, 1)].append(1000 * (time.perf_counter() - began))
            rng = random.Random(f"{key}/{at}")
            began = time.perf_counter()
            for _ in range(drive.steps):
                choices = game.step(rng.choice(choices))
            stepping_s += time.perf_counter() - began
            steps += drive.steps
        game.close()
    return Played(tuple(times_ms[0]), tuple(times_ms[1]), steps / stepping_s)


class _Native:
    """Ours; `reset` and `step` return the admissible commands."""

    @staticmethod
    def warm() -> None:
        pass

    def __init__(self, row: Any) -> None:
        self.row = row
        self.game: Any = None

    def reset(self) -> Any:
        from envserver.envs._alfworld.play import Game, Play

        self.game = self.game or Game.load(self.row)
        self.play = Play(self.game)
        return self.play.admissible()

    def step(self, command: str) -> Any:
        self.play.step(command)
        return self.play.admissible()

    def close(self) -> None:
        pass


class _Stock:
    """The package with what we cache for it."""

    @staticmethod
    def warm() -> None:
        import envserver.envs._alfworld.stock  # noqa: F401

    def __init__(self, row: Any) -> None:
        self.row = row
        self.play: Any = None

    def reset(self) -> Any:
        from envserver.envs._alfworld.stock import StockPlay

        self.close()
        self.play = StockPlay(self.row)
        return self.play.admissible()

    def step(self, command: str) -> Any:
        self.play.step(command)
        return self.play.admissible()

    def close(self) -> None:
        if self.play is not None:
            self.play.close()


class _Package:
    """The package's own environment and wrappers; an environment is kept for the game, as it recommends."""

    @staticmethod
    def warm() -> None:
        import alfworld.agents.environment.alfred_tw_env  # noqa: F401

    def __init__(self, row: Any) -> None:
        self.row = row
        self.env: Any = None

    def reset(self) -> Any:
        if self.env is None:
            from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
            from textworld import EnvInfos
            from textworld.envs import PddlEnv

            from envserver.envs._alfworld.stock_words import GOAL, domain_and_grammar

            domain, grammar = domain_and_grammar("0.4")
            engine = PddlEnv(EnvInfos(won=True, admissible_commands=True))
            self.env = AlfredInfos(AlfredDemangler(engine, shuffle=False))
            self.env.load(
                {
                    "pddl_domain": domain,
                    "grammar": grammar.replace(GOAL, self.row.task),
                    "pddl_problem": self.row.problem,
                }
            )
        return self.env.reset()["admissible_commands"]

    def step(self, command: str) -> Any:
        return self.env.step(command)[0]["admissible_commands"]

    def close(self) -> None:
        pass


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps(asdict(_driven(Drive(**{**asked, "keys": tuple(asked["keys"])})))))
