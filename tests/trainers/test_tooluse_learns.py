"""A small model from nothing learns to call tools from demonstrations: tasks of eight calls that it has not seen."""

from __future__ import annotations

from pathlib import Path

import pytest
from test_learns import one_thread, settings  # noqa: F401

from trainers.loop import train
from trainers.metrics import read

# A model reads eight hundred demonstrations of eight calls eight times: most of a minute of one free core.
pytestmark = pytest.mark.slow

TASK = {"families": {"parser": 1}, "horizon": 8, "difficulty": 1}
GAIN = 0.3
"""Success gained; an answer that is guessed is right once in seven."""


async def test_demonstrations_lift_success_on_tasks_not_seen(tmp_path: Path) -> None:
    run = await train(
        settings(
            tmp_path,
            "",
            tasks=800,
            steps=0,
            env={"name": "tooluse", "options": TASK, "tasks": 800, "workers": 1},
            format={"name": "toolcall", "style": "compact"},
            player={"max_turns": 12, "max_tokens": 8},
            sft={"demonstrations": 800, "epochs": 8, "batch_episodes": 8, "lr": 3e-3},
            eval={"every": 10, "tasks": 40},
        )
    )
    row = list(read(run.metrics))[-1]
    assert row["eval/success"] - row["untrained/success"] > GAIN, row
