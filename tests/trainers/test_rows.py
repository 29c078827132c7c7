"""Rows and batches: however they are packed, the gradient is the same."""

from __future__ import annotations

import random
from dataclasses import replace

import by_hand
import pytest
import torch

from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action
from trainers.algorithms.base import Forward
from trainers.algorithms.grpo import Grpo
from trainers.algorithms.vcpo import Vcpo
from trainers.batch import Batch, Row
from trainers.rows import credited, is_zero, minibatches, packed, rows

FOUND = [
    by_hand.row([None, 1.0, 1.0], episode=0),
    by_hand.row([None, 1.0, 1.0, None, 1.0], episode=0),
    by_hand.row([None, None, -0.5], episode=1),
    by_hand.row([None, 0.0, 0.0, 0.0], episode=2),
    by_hand.row([0.0, 0.0], episode=2),
    by_hand.row([None, -2.0, 0.0, -2.0, -2.0, None, -2.0], episode=3),
]


def slope(algorithm, batches: list[Batch]) -> float:
    """The derivative of the minibatch's loss by a parameter that moves every log-probability by its id."""
    weight = torch.zeros((), requires_grad=True)
    total = torch.zeros(())
    for batch in batches:
        logp_BL = (batch.behaviour_BL + 0.1 + weight * batch.ids_BL) * batch.mask_BL
        total = total + algorithm.loss(Forward(logp_BL), batch)[0] * batch.scale
    return float(torch.autograd.grad(total, weight)[0])


@pytest.mark.parametrize("aggregate", ["token", "sequence", "constant"])
def test_the_gradient_does_not_depend_on_how_rows_are_packed(aggregate: str) -> None:
    algorithm = by_hand.algorithm(Grpo, aggregate=aggregate, kl=0.0, clip_high=10)
    slopes = []
    for micro_tokens in (1, 8, 16, 10_000):
        (part,) = minibatches(FOUND, algorithm, count=1, micro_tokens=micro_tokens, rng=random.Random(micro_tokens))
        slopes.append(slope(algorithm, part))
    whole = by_hand.batch(*FOUND)
    assert slopes == pytest.approx([slope(algorithm, [whole])] * 4)
    assert slopes[0] != 0


@pytest.mark.parametrize("aggregate", ["token", "sequence"])
def test_what_has_no_gradient_is_not_computed_but_counted(aggregate: str) -> None:
    algorithm = by_hand.algorithm(Grpo, aggregate=aggregate, kl=0.0)
    (part,) = minibatches(FOUND, algorithm, count=1, micro_tokens=16, rng=random.Random(0))
    assert 2 not in {int(episode) for batch in part for episode in batch.episode_B}
    share = {"token": (16 - 5) / 16, "sequence": 3 / 4}[aggregate]
    assert sum(batch.scale for batch in part) == pytest.approx(share)


@pytest.mark.parametrize("micro_tokens", [1, 8, 10_000])
def test_rows_of_a_group_lie_in_one_batch_where_its_episodes_are_compared(micro_tokens: int) -> None:
    found = [replace(row, group=row.episode % 2) for row in FOUND]
    parts = minibatches(found, by_hand.algorithm(Vcpo), count=2, micro_tokens=micro_tokens, rng=random.Random(0))
    held = [sorted(batch.episode_B.tolist()) for part in parts for batch in part]
    assert sorted(held) == [[0, 0, 2, 2], [1, 3]]


def test_chosen_rows_keep_what_they_hold_and_lose_the_padding_of_others() -> None:
    whole = replace(by_hand.batch(*FOUND, scale=0.5), before_BL=torch.ones(6, 7))
    part = whole.rows(whole.episode_B == 1)
    alone = by_hand.batch(FOUND[2], scale=0.5)
    assert part.before_BL is not None
    assert part.before_BL.shape == (1, 3)
    for name in ("ids_BL", "real_BL", "mask_BL", "behaviour_BL", "advantage_BL", "turn_BL", "episode_B", "return_B"):
        assert torch.equal(getattr(part, name), getattr(alone, name)), name
    assert part.scale == 0.5


def test_a_loss_with_other_terms_computes_every_row() -> None:
    algorithm = by_hand.algorithm(Grpo, kl=0.1)
    (part,) = minibatches(FOUND, algorithm, count=1, micro_tokens=16, rng=random.Random(0))
    assert sum(len(batch.episode_B) for batch in part) == len(FOUND)
    assert sum(batch.scale for batch in part) == pytest.approx(1)


def test_an_episode_whose_loss_is_pooled_lies_in_one_batch() -> None:
    algorithm = by_hand.algorithm(Grpo, aggregate="sequence", kl=0.1)
    (part,) = minibatches(FOUND, algorithm, count=1, micro_tokens=1, rng=random.Random(0))
    episodes = [set(batch.episode_B.tolist()) for batch in part]
    assert sorted(map(sorted, episodes)) == [[0], [1], [2], [3]]


def test_minibatches_hold_every_row_once() -> None:
    algorithm = by_hand.algorithm(Grpo, aggregate="token", kl=0.1)
    parts = minibatches(FOUND, algorithm, count=3, micro_tokens=100, rng=random.Random(1))
    assert [sum(len(batch.episode_B) for batch in part) for part in parts] == [2, 2, 2]
    assert sum(batch.sampled_tokens for part in parts for batch in part) == 16


def test_nothing_to_compute_gives_no_minibatch() -> None:
    algorithm = by_hand.algorithm(Grpo, kl=0.0)
    assert minibatches(FOUND[3:5], algorithm, count=2, micro_tokens=100, rng=random.Random(1)) == []
    assert minibatches([], algorithm, count=2, micro_tokens=100, rng=random.Random(1)) == []


def test_packs_respect_the_limit_with_padding() -> None:
    rng = random.Random(0)
    units = [[by_hand.row([1.0] * rng.randint(1, 30))] for _ in range(50)]
    runs = packed(units, 64)
    assert sum(map(len, runs)) == 50
    assert all(len(run) * max(len(row.segment) for row in run) <= 64 for run in runs)
    assert [len(run) for run in packed([[by_hand.row([1.0] * 100)], [by_hand.row([1.0])]], 64)] == [1, 1]


def test_packs_respect_the_limit_of_each_process() -> None:
    assert [len(run) for run in packed([[by_hand.row([1.0] * 5461)]] * 3, 8192, processes=2)] == [2, 1]
    rng = random.Random(0)
    units = [[by_hand.row([1.0] * rng.randint(1, 30))] for _ in range(50)]
    runs = packed(units, 64, processes=3)
    assert sum(map(len, runs)) == 50
    for run in runs:
        dealt = [run[number::3] for number in range(3) if run[number:]]
        assert all(len(own) * max(len(row.segment) for row in own) <= 64 for own in dealt)
    assert len(runs) < len(packed(units, 64))


def window(*prompts: list[int]) -> Episode:
    """An episode whose prompts are these, each answered by the id 9."""
    turns = [
        Turn(Prompt([]), Move(ids, Sample([9], [-0.5], "stop", 0.7, 3), "x"), Reply(Action(text="x")), None)
        for ids in prompts
    ]
    return Episode(by_hand.TASK, turns, StopReason.DONE)


def test_rows_know_their_episode_group_return_and_temperature() -> None:
    broken = window([1, 2], [1, 2, 9, 3], [7, 8])
    groups = [by_hand.group(1.0, 0.0), by_hand.group_of(broken, window([1]))]
    found: list[Row] = rows(groups, [[[0.5], [-0.5]], [[1.0, 0.0, 2.0], [0.0]]])
    assert [(row.group, row.episode, row.ret) for row in found] == [
        (0, 0, 1),
        (0, 1, 0),
        (1, 2, 0),
        (1, 2, 0),
        (1, 3, 0),
    ]
    assert [row.segment.ids for row in found[2:]] == [[1, 2, 9, 3, 9], [7, 8, 9], [1, 9]]
    assert found[2].temperature == 0.7
    assert [is_zero([row]) for row in found] == [False, False, False, False, True]


def test_an_episode_that_sampled_nothing_has_no_row() -> None:
    silent = Episode(by_hand.TASK, [], StopReason.MAX_TOKENS)
    assert rows([by_hand.group_of(silent)], [[[]]]) == []


def test_a_turn_is_credited_with_the_mean_of_its_tokens() -> None:
    groups = [by_hand.group_of(by_hand.episode([0.0, 1.0], tokens=2), by_hand.episode([0.0]))]
    first = by_hand.row([None, 1.0, 2.0, None, -4.0, -6.0], turns=[-1, 0, 0, -1, 1, 1])
    second = by_hand.row([None, 0.25], episode=1, turns=[-1, 0])
    assert credited(groups, [by_hand.batch(first, second)]) == [[[1.5, -5.0], [0.25]]]
