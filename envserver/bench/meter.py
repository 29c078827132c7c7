"""What every load does: count answers while the measured time runs, in a process of its own."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

from envserver.bench.apart import apart
from envserver.bench.report import percentile

__all__ = ["Measured", "Meter", "drive", "run"]

CHECK_EVERY = 100
"""Answers of which one is decoded."""
GOODBYE_S = 0.2

P = TypeVar("P")
A = TypeVar("A")


@dataclass(frozen=True)
class Measured:
    """What came back."""

    steps_s: float
    """Steps a second."""
    p50_ms: float
    p99_ms: float
    frame_errors: int
    total: int
    """Steps played in all, the unmeasured ones too."""


class Meter:
    """Counts answers."""

    def __init__(self) -> None:
        self.going = True
        """Whether another step is sent."""
        self.counting = False
        self.answers = self.total = self.steps = self.errors = 0
        self.times_s: list[float] = []

    def count(self, time_s: float, marked: bool, whole: Callable[[], bool], steps: int = 1) -> None:
        """An answer to `steps` steps; `marked` is looked at always, `whole` for every hundredth."""
        self.answers += 1
        if not marked or (self.answers % CHECK_EVERY == 0 and not whole()):
            self.errors += 1
        self.total += steps
        if self.counting:
            self.steps += steps
            self.times_s.append(time_s)

    async def measure(
        self, ready: Iterable[Awaitable[P]], begin: Callable[[P], None], end: Callable[[P], None], seconds: float
    ) -> Measured:
        """Make players ready, 32 at a time; let them begin; warm up, measure, and end them."""
        gate = asyncio.Semaphore(32)

        async def one(player: Awaitable[P]) -> P:
            async with gate:
                return await player

        players = await asyncio.gather(*(one(player) for player in ready))
        gc.collect()
        gc.disable()
        for player in players:
            begin(player)
        await asyncio.sleep(min(0.5, seconds / 3))
        self.counting, began = True, time.perf_counter()
        await asyncio.sleep(seconds)
        self.counting, took_s = False, time.perf_counter() - began
        await asyncio.sleep(0)
        self.going = False
        for player in players:
            end(player)
        await asyncio.sleep(GOODBYE_S)
        gc.enable()
        return Measured(
            steps_s=self.steps / took_s,
            p50_ms=1000 * percentile(self.times_s, 0.5),
            p99_ms=1000 * percentile(self.times_s, 0.99),
            frame_errors=self.errors,
            total=self.total,
        )


def drive(module: str, asked: Any, what: str) -> Measured:
    """Run a load in a process of its own. Raises RuntimeError where it fails or a step of `what` was refused."""
    measured = Measured(**apart(module, asked, timeout_s=asked.seconds + 120))
    if measured.frame_errors:
        raise RuntimeError(f"{measured.frame_errors} {what} were refused or lost")
    return measured


def run(kind: Callable[..., A], play: Callable[[A], Coroutine[Any, Any, Measured]]) -> None:
    """One load, from stdin to stdout."""
    import uvloop

    given = json.load(sys.stdin)
    asked = kind(**given)
    if given["core"] is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {given["core"]})
    print(json.dumps(asdict(uvloop.run(play(asked)))))
