"""Sessions that do nothing: how soon the server is there, and what an idle session weighs."""

from __future__ import annotations

import asyncio
import time
from statistics import median

from envserver.bench.report import Table, resident_bytes
from envserver.client import Gym
from envserver.launch import launch
from envserver.schema import Task

__all__ = ["measure"]

SESSIONS = 1024


def measure(quick: bool) -> list[Table]:
    """Time until /health answers, and resident memory of idle sessions of the null world."""
    repeats = 1 if quick else 3
    ready_s, shared, alone = [], [], []
    for _ in range(repeats):
        began = time.perf_counter()
        with launch() as server:
            ready_s.append(time.perf_counter() - began)
            shared.append(asyncio.run(_weigh(server.url, server.pid, connections=1)))
        with launch(["null"], workers=1) as server:
            alone.append(asyncio.run(_weigh(server.url, server.pid, connections=SESSIONS)))
    return [
        Table(
            "Sessions",
            f"Ready: from the command to an answered /health, every environment served. Weight: what the server's "
            f"resident memory grows by while {SESSIONS:,} sessions of the null world are opened and left idle. "
            f"Medians of {repeats} runs.",
            ("ready, s", "idle session, kB", "idle session with a connection of its own, kB"),
            [(median(ready_s), median(shared), median(alone))],
        )
    ]


async def _weigh(url: str, pid: int, connections: int) -> float:
    """kB of resident memory a session."""
    task = Task(env="null", key="null/train/0")
    gyms = [Gym(url) for _ in range(connections)]
    warm = Gym(url)
    try:
        # What the first session brings in, such as modules, is not a session's weight.
        for _ in range(3):
            await (await warm.open(task)).close()
        before = resident_bytes(pid)
        for start in range(0, SESSIONS, 64):
            await asyncio.gather(*(gyms[at % connections].open(task) for at in range(start, start + 64)))
        return (resident_bytes(pid) - before) / SESSIONS / 1000
    finally:
        await asyncio.gather(*(gym.close() for gym in [warm, *gyms]))
