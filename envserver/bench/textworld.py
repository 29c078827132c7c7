"""TextWorld: steps through the server, the same worlds in process, and the package itself, on the same games.

`python -m envserver.bench.textworld` reads a Drive as JSON on stdin and drives it in process: the peer.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import cache
from statistics import median
from typing import Any, Literal

import uvloop
from websockets.asyncio.client import connect

from envserver import plugins
from envserver.bench.apart import apart
from envserver.bench.null import floor
from envserver.bench.report import Table, percentile, ratio
from envserver.client import Gym, World
from envserver.core import Env
from envserver.launch import launch
from envserver.schema import Action, Task

__all__ = ["measure"]

FAMILY = "custom/w4-o6-q8"
STEPS = 24
AT_ONCE = 8
"""Episodes that are played in turns; as many sessions at the server."""
PAUSE_S = 0.02
"""Mean pause of a session before a paced step."""
ECHOES = 48
"""Frames of each connection."""
ROUNDS = ("first rollouts", "again, other random actions", "again, the same actions")


@dataclass(frozen=True)
class Drive:
    """Episodes to play at random: the same seed plays the same actions wherever it is driven."""

    who: Literal["worlds", "package"]
    keys: tuple[str, ...]
    episodes: int
    rounds: tuple[int, ...]
    """A seed for each round over the same games."""


@dataclass(frozen=True)
class Round:
    """One round of a drive."""

    steps_s: float
    p50_ms: float
    """Of one step."""


def measure(quick: bool) -> list[Table]:
    """First and repeated rollouts, the overhead of a step, and opening a game."""
    games, episodes, repeats = (1, 8, 1) if quick else (4, 24, 3)
    keys = tuple(_class().tasks(_class().Config.model_validate({"family": FAMILY}), "train")[:games])
    drive = Drive("worlds", keys, episodes, (1, 2, 2))
    _stories(keys)
    inside, package, served, paced, openings = [], [], [], [], []
    echoed: dict[tuple[float, bool], list[float]] = {
        (pause_s, relayed): [] for pause_s in (0.0, PAUSE_S) for relayed in (False, True)
    }
    for _ in range(repeats):
        inside.append(_in_process(drive))
        package.append(_in_process(Drive("package", keys, episodes, drive.rounds)))
        with launch(["textworld"], workers=1) as server:
            rounds, latency_ms, opened = uvloop.run(_through(server.url, drive))
        served.append(rounds)
        paced.append(latency_ms)
        for (pause_s, relayed), found in echoed.items():
            with floor(relayed=relayed) as (port, _):
                found.append(uvloop.run(_echoes(port, pause_s)))
        openings.append(opened)

    def speeds(runs: list[list[Round]], number: int) -> list[float]:
        return [run[number].steps_s for run in runs]

    note = (
        f"{len(keys)} games of `{FAMILY}`, {episodes} random episodes of at most {STEPS} steps a round, "
        f"{AT_ONCE} at a time, "
        f"admissible commands shown, one worker against one process. Medians of {repeats} alternated runs."
    )
    throughput = [
        (name, median(speeds(inside, at)), median(speeds(served, at)), ratio(speeds(served, at), speeds(inside, at)))
        for at, name in enumerate(ROUNDS)
    ]
    own = [
        (
            name,
            median(speeds(package, at)),
            median(speeds(inside, at)),
            ratio(speeds(inside, at), speeds(package, at)),
            median(speeds(served, at)),
            ratio(speeds(served, at), speeds(package, at)),
        )
        for at, name in enumerate(ROUNDS)
    ]
    step_ms = median(run[-1].p50_ms for run in inside)
    waited_ms = {0.0: median(run[-1].p50_ms for run in served), PAUSE_S: median(paced)}
    echo_ms = {how: median(found) for how, found in echoed.items()}
    first_ms = [one for run in openings for one in run[0]]
    second_ms = [one for run in openings for one in run[1]]
    return [
        Table(
            "TextWorld: through the server against in process",
            note,
            ("", "in process, steps/s", "served, steps/s", "ratio"),
            throughput,
        ),
        Table(
            "TextWorld: against the package's own steps/s",
            "The package plays the same actions in the same games with the same texts asked for, opening included. "
            + note,
            ("", "package, steps/s", "ours in process", "ratio", "ours served", "ratio "),
            own,
        ),
        Table(
            "TextWorld: overhead of a step",
            f"{AT_ONCE} sessions play the actions of the round before: their results are remembered, so what is left "
            "is the server's. Each steps as soon as it is answered, and waits for the others; or every 20 ms in the "
            "mean, each at moments of its own, when processes sleep in between. The echo is a bare WebSocket endpoint "
            "and client, driven alike: it wakes two processes. Relayed, it wakes four, as a step does: client, server, "
            "another process, server, client.",
            (
                "a step",
                "p50 in process, ms",
                "p50 served, ms",
                "overhead, ms",
                "p50 of the echo, ms",
                "p50 of the echo relayed, ms",
            ),
            [
                (
                    name,
                    step_ms,
                    waited_ms[pause_s],
                    waited_ms[pause_s] - step_ms,
                    echo_ms[pause_s, False],
                    echo_ms[pause_s, True],
                )
                for name, pause_s in (("when answered", 0.0), ("every 20 ms", PAUSE_S))
            ],
        ),
        Table(
            "Opening a session on a cached game",
            "The game is on disk; the first time its worker loads it, the second time it is there. Medians over games.",
            ("first, ms", "second, ms", "ratio"),
            [(median(first_ms), median(second_ms), ratio(second_ms, first_ms))],
        ),
    ]


async def _through(url: str, drive: Drive) -> tuple[list[Round], float, tuple[list[float], list[float]]]:
    """The drive's rounds through a server, the p50 in ms of its last one paced, and each game's opening times in ms."""
    async with Gym(url) as gym:
        opened: tuple[list[float], list[float]] = ([], [])
        for times in opened:
            for key in drive.keys:
                began = time.perf_counter()
                world = await gym.open(_task(key))
                times.append(1000 * (time.perf_counter() - began))
                await world.close()
        rounds = []
        for seed in drive.rounds:
            episodes, times_s = iter(_episodes(drive, seed)), list[float]()
            began = time.perf_counter()
            await asyncio.gather(*(_play(gym, episodes, times_s, 0.0, place) for place in range(AT_ONCE)))
            took_s = time.perf_counter() - began
            rounds.append(Round(len(times_s) / took_s, 1000 * percentile(times_s, 0.5)))
        episodes, paced_s = iter(_episodes(drive, drive.rounds[-1])), list[float]()
        await asyncio.gather(*(_play(gym, episodes, paced_s, PAUSE_S, place) for place in range(AT_ONCE)))
        return rounds, 1000 * percentile(paced_s, 0.5), opened


async def _echoes(port: int, pause_s: float) -> float:
    """The p50 in ms of frames that the floor sends back, each after a pause of `pause_s` in the mean."""
    times_s = list[float]()

    async def send(place: int) -> None:
        pauses = random.Random(place)
        async with connect(f"ws://127.0.0.1:{port}", compression=None) as socket:
            for _ in range(ECHOES):
                if pause_s:
                    await asyncio.sleep(pauses.uniform(0, 2 * pause_s))
                began = time.perf_counter()
                await socket.send(b"{}")
                await socket.recv()
                times_s.append(time.perf_counter() - began)

    await asyncio.gather(*(send(place) for place in range(AT_ONCE)))
    return 1000 * percentile(times_s, 0.5)


async def _play(
    gym: Gym, episodes: Iterator[tuple[str, random.Random]], times_s: list[float], pause_s: float, place: int
) -> None:
    """Play episodes until there are none left, as player `place`; `pause_s` is the mean pause before a step."""
    # Each its own, so that the players do not step at the same moments and wait for one another.
    pauses = random.Random(place)
    for key, rng in episodes:
        world: World = await gym.open(_task(key))
        while not world.over:
            if pause_s:
                await asyncio.sleep(pauses.uniform(0, 2 * pause_s))
            action = rng.choice(world.result.observation.choices)
            began = time.perf_counter()
            await world.step(action)
            times_s.append(time.perf_counter() - began)
        await world.close()


def _in_process(drive: Drive) -> list[Round]:
    return [Round(**found) for found in apart("envserver.bench.textworld", drive, timeout_s=300)]


def _driven(drive: Drive) -> list[Round]:
    """The drive's rounds in this process, episodes in turns as the server has them."""
    start: Callable[[str], Any] = _World if drive.who == "worlds" else _Package
    for key in drive.keys:
        start(key).close()
    rounds = []
    for seed in drive.rounds:
        episodes, times_s, playing = iter(_episodes(drive, seed)), list[float](), list[tuple[Any, random.Random]]()
        began = time.perf_counter()
        while True:
            while len(playing) < AT_ONCE and (episode := next(episodes, None)) is not None:
                playing.append((start(episode[0]), episode[1]))
            if not playing:
                break
            for world, rng in playing:
                action = rng.choice(world.choices)
                step_began = time.perf_counter()
                world.step(action)
                times_s.append(time.perf_counter() - step_began)
                if world.over:
                    world.close()
            playing = [(world, rng) for world, rng in playing if not world.over]
        rounds.append(Round(len(times_s) / (time.perf_counter() - began), 1000 * percentile(times_s, 0.5)))
    return rounds


class _World:
    """Our TextWorld, driven directly."""

    def __init__(self, key: str) -> None:
        self.env = _class()(_class().Config.model_validate({"max_steps": STEPS}))
        self._take(self.env.reset(Task(env="textworld", key=key)))

    def step(self, action: str) -> None:
        self._take(self.env.step(Action(text=action)))

    def close(self) -> None:
        self.env.close()

    def _take(self, result: Any) -> None:
        self.over, self.choices = result.over, result.observation.choices


class _Package:
    """The package's own environment; a reset of an environment that is kept for the game, as it recommends."""

    kept: dict[str, list[Any]] = {}

    def __init__(self, key: str) -> None:
        self.key, self.steps = key, 0
        idle = self.kept.setdefault(key, [])
        if idle:
            self.env = idle.pop()
        else:
            import textworld

            asked = textworld.EnvInfos(admissible_commands=True, inventory=True, score=True, won=True, lost=True)
            self.env = textworld.start(_stories((key,))[0], asked)
        self._take(self.env.reset(), False)

    def step(self, action: str) -> None:
        state, _, done = self.env.step(action)
        self.steps += 1
        self._take(state, done or self.steps >= STEPS)

    def close(self) -> None:
        self.kept[self.key].append(self.env)

    def _take(self, state: Any, over: bool) -> None:
        self.over, self.choices = over, sorted(set(state.admissible_commands))


def _episodes(drive: Drive, seed: int) -> list[tuple[str, random.Random]]:
    return [(drive.keys[at % len(drive.keys)], random.Random(f"{seed}/{at}")) for at in range(drive.episodes)]


def _task(key: str) -> Task:
    return Task(env="textworld", key=key, options={"max_steps": STEPS})


@cache
def _class() -> type[Env]:
    return plugins.load("envserver.envs", "textworld", Env)  # type: ignore[type-abstract]


def _stories(keys: tuple[str, ...]) -> list[str]:
    """Files of the games, made where they are not there yet."""
    from envserver.envs._textworld.cache import GameCache, default_root
    from envserver.envs._textworld.keys import GameKey, parse

    cache, stories = GameCache(default_root()), []
    for key in keys:
        parsed = parse(key)
        assert isinstance(parsed, GameKey)
        stories.append(str(cache.story(parsed, timeout_s=300.0)))
    return stories


if __name__ == "__main__":
    asked = json.load(sys.stdin)
    print(json.dumps([asdict(found) for found in _driven(Drive(**asked))]))
