"""Supervised fine-tuning on episodes that carry ids."""

from __future__ import annotations

import random

import pytest
from test_learner import learner
from tiny import spoken

from trainers.batch import Row, collate
from trainers.config import SftConfig
from trainers.display import Display
from trainers.segments import segments
from trainers.sft import sft, sft_batches

EPISODES = [spoken([([5, 10 + n], [20 + n, 1]), ([5, 10 + n, 20 + n, 1, 6], [30 + n, 1])]) for n in range(8)]


async def test_the_expert_is_imitated_and_becomes_the_reference() -> None:
    one = learner(reference=True)
    config = SftConfig(demonstrations=8, epochs=80, lr=1e-2, batch_episodes=8)
    metrics = await sft(one, EPISODES, config, seed=0, display=Display(quiet=True))
    assert metrics["sft/loss"] < 0.1
    assert metrics["sft/accuracy"] > 0.95
    assert metrics["sft/demonstrations"] == 8
    assert one.version == one.phase_start == 80
    rows = [Row(segments(EPISODES[0], [1.0, 1.0])[0], 0, 0, 1.0)]
    found = one.forward(collate(rows), frozenset({"reference"}))
    assert found.reference_BL is not None
    assert found.reference_BL.equal(found.logp_BL)


async def test_the_same_seed_learns_the_same() -> None:
    losses = []
    for _ in range(2):
        config = SftConfig(epochs=2, lr=1e-3, batch_episodes=3)
        losses.append(await sft(learner(), EPISODES, config, seed=5, display=Display(quiet=True)))
    assert losses[0] == losses[1]


async def test_episodes_without_ids_are_refused() -> None:
    with pytest.raises(ValueError, match="nothing to learn from"):
        await sft(learner(), [spoken([([], [])])], SftConfig(), seed=0, display=Display(quiet=True))


def test_every_demonstration_is_learned_from_once_an_epoch() -> None:
    units = [[Row(segments(found, [1.0, 1.0])[0], n, n, 1.0)] for n, found in enumerate(EPISODES)]
    steps = sft_batches(units, batch_episodes=3, micro_tokens=16, rng=random.Random(0))
    assert len(steps) == 3
    assert sorted(int(n) for step in steps for batch in step for n in batch.episode_B) == list(range(8))
    for step in steps:
        assert sum(batch.scale for batch in step) == pytest.approx(1.0)
        assert all(batch.ids_BL.numel() <= 16 for batch in step)
