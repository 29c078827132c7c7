"""A small model from nothing learns which templates make kernels fast, from compiled and timed C++."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest
from test_learns import one_thread, settings  # noqa: F401

from envserver.envs._kernel.evaluate import Plan, missing
from trainers.loop import train
from trainers.metrics import read

# A hundred kernels are compiled and timed once on a machine, two seconds each; after that it is a minute.
pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(missing(Plan())), reason=missing(Plan()) or "")]

STEPS = 24
WINDOW = 4
GAIN = 1.0
"""Reward gained of an episode of three attempts; a correct attempt as fast as the reference earns 2."""


async def test_trloo_lifts_the_reward_of_kernels_from_templates(tmp_path: Path) -> None:
    run = await train(
        settings(
            tmp_path,
            "",
            tasks=600,
            steps=STEPS,
            env={"name": "kernel_templates", "workers": 1, "timeout_s": 300.0},
            format="plain",
            player={"max_turns": 3, "max_tokens": 8},
            sft={"demonstrations": 400, "epochs": 6, "batch_episodes": 8, "lr": 3e-3},
            algorithm={"name": "trloo", "minibatches": 2},
            shapers=[{"name": "kernel"}],
            learner={"lr": 5e-4},
            sampling={"tasks_per_step": 6, "group_size": 8},
        )
    )
    rewards = [row["reward/mean"] for row in read(run.metrics) if "reward/mean" in row]
    gain = statistics.fmean(rewards[-WINDOW:]) - statistics.fmean(rewards[:2])
    assert gain > GAIN, f"reward a step: {rewards}"
