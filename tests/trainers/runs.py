"""Runs so small that a test can afford them: keydoor, a model of a few thousand weights, four steps."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tiny import tiny_model

from skills_db.store import Store, open_store
from trainers import metrics, recipe
from trainers.config import RunConfig
from trainers.run import Run


def config(directory: Path, url: str | None, *pairs: str) -> RunConfig:
    """A run called `tiny` in this directory, its database beside it."""
    return recipe.resolve(table(directory, url), pairs)


def table(directory: Path, url: str | None) -> dict[str, Any]:
    """The same as a table. The entropy bonus makes every step an update, whatever the rewards."""
    return {
        "name": "tiny",
        "dir": str(directory),
        "steps": 4,
        "env": {"name": "keydoor", "url": url, "options": {"max_steps": 5}, "workers": 1},
        "player": {"max_turns": 4, "max_tokens": 6},
        "model": {"path": str(tiny_model())},
        "algorithm": {"name": "grpo", "entropy": 0.01},
        "sampling": {"tasks_per_step": 2, "group_size": 3},
        "eval": {"every": 2, "tasks": 3},
        "checkpoint": {"every": 2, "keep": 2},
        "engine": {"threads": 1},
        "store": {"url": f"sqlite:///{directory}/memory.db"},
    }


def rows(run: Run) -> list[dict[str, float]]:
    """What the run logged."""
    return list(metrics.read(run.metrics))


async def steps(run: Run, count: int, *, going: Callable[[], bool]) -> None:
    """Wait until so many rows are logged, while the training goes on."""
    while not run.metrics.exists() or len(rows(run)) < count:
        assert going()
        await asyncio.sleep(0.02)


async def killed(config: RunConfig, count: int) -> Run:
    """A run in a process of its own that gets SIGKILL, with all it has started, once so many rows are logged."""
    run = Run(config.directory)
    file = config.dir / "run.json"
    file.write_text(recipe.text(config))
    command = [sys.executable, "-m", "trainers", "train", str(file)]
    process = await asyncio.create_subprocess_exec(*command, start_new_session=True)
    await steps(run, count, going=lambda: process.returncode is None)
    os.killpg(process.pid, signal.SIGKILL)
    await process.wait()
    return run


def memory(config: RunConfig) -> Store:
    """The run's database."""
    return open_store(config.store.url, create=False, readonly=True)
