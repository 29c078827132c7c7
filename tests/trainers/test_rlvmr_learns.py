"""RLVMR lifts the reward on keydoor with its own tags, in both readings, from a cold start on annotated
demonstrations."""

from __future__ import annotations

import statistics
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from test_learns import one_thread, settings  # noqa: F401

from trainers.loop import train
from trainers.metrics import read

pytestmark = pytest.mark.slow

STEPS = 12
MARGIN = 0.15
"""As in `test_learns`: success that must be gained from the first two steps to the second half."""
TAGGED: dict[str, Any] = {
    "format": {"name": "rlvmr", "compact": True, "action": "choice"},
    "player": {"max_turns": 6, "max_tokens": 48},
}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cold_start(gym_url: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that tags its thoughts and is right now and then."""
    sft = {"demonstrations": 120, "epochs": 10, "batch_episodes": 4, "lr": 3e-3}
    run = await train(settings(tmp_path_factory.mktemp("cold"), gym_url, tasks=120, steps=0, sft=sft, **TAGGED))
    return run.checkpoints()[-1].model


@pytest.mark.parametrize("reading", ["paper", "code"])
async def test_it_learns_with_tags(reading: str, cold_start: Path, gym_url: str, tmp_path: Path) -> None:
    run = await train(
        settings(
            tmp_path,
            gym_url,
            tasks=1,
            steps=STEPS,
            # A room that no demonstration was of: those it knows by heart.
            env={"name": "keydoor", "url": gym_url, "options": {"max_steps": 6}, "split": "valid", "tasks": 1},
            model={"path": str(cold_start)},
            learner={"lr": 6e-4},
            algorithm={"name": "rlvmr", "reading": reading},
            shapers=[{"name": "rlvmr", "reading": reading}],
            **TAGGED,
        )
    )
    logged = [row for row in read(run.metrics) if "reward/mean" in row]
    rewards = [row["reward/mean"] for row in logged]
    assert len(rewards) == STEPS
    gain = statistics.fmean(rewards[STEPS // 2 :]) - statistics.fmean(rewards[:2])
    assert gain > MARGIN, f"success a step: {rewards}"
    assert all(row["tag/planning"] > 0.0 for row in logged)
    assert logged[-1]["reward/shaped_mean"] > logged[0]["reward/shaped_mean"]
