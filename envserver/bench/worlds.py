"""Worlds behind tools, one after another: what opening a task takes, and each tool of the expert's play."""

from __future__ import annotations

import asyncio
import time
from collections import defaultdict

from envserver.bench.report import Cell, Table, percentile
from envserver.client import Gym
from envserver.launch import launch
from envserver.schema import Task

__all__ = ["measure"]

WORLDS = ("python", "repo", "search", "sql")
EPISODES = 40


def measure(quick: bool) -> list[Table]:
    """Every task is new to its worker; nobody else plays."""
    rows: list[tuple[Cell, ...]] = []
    with launch(WORLDS, workers=1, expert=True) as server:
        for env in WORLDS:
            took_ms = asyncio.run(_played(server.url, env, EPISODES // (8 if quick else 1)))
            rows += [
                (env, what, len(times), percentile(times, 0.5), percentile(times, 0.99))
                for what, times in took_ms.items()
            ]
    note = (
        "One worker, one session at a time over the WebSocket, the expert's play of tasks of `valid`, each new to the "
        "server; the first is not counted, since what all tasks share is made with it."
    )
    return [Table("Worlds behind tools", note, ("world", "what", "times", "p50, ms", "p99, ms"), rows)]


async def _played(url: str, env: str, episodes: int) -> dict[str, list[float]]:
    """What is asked of the server -> the milliseconds that each took."""
    took_ms: dict[str, list[float]] = defaultdict(list)
    async with Gym(url) as gym:
        keys = (await gym.tasks(env, "valid", limit=episodes + 1)).keys
        for number, key in enumerate(keys):
            began = time.perf_counter()
            world = await gym.open(Task(env=env, key=key))
            opened_ms = 1000 * (time.perf_counter() - began)
            if number:
                took_ms["opening"].append(opened_ms)
            while not world.over and (action := await world.expert()) is not None:
                began = time.perf_counter()
                await world.step(action)
                if number:
                    took_ms[action.tool or "step"].append(1000 * (time.perf_counter() - began))
            await world.close()
    return took_ms
