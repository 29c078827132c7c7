import math
from dataclasses import replace

import pytest
import torch
from by_hand import algorithm, batch, gradient, group, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.gppo import Gppo


def logs(*values):
    return [[math.log(value) for value in values]]


def grads(learner):
    return {name: p.grad.clone() for name, p in learner.parameters.items() if p.grad is not None}


@pytest.fixture
def caught(tiny_learner, monkeypatch):
    """The gradients of an update, and no step."""

    def of(found, batches):
        monkeypatch.setattr(tiny_learner, "step", dict)
        tiny_learner.optimizer.zero_grad()
        metrics = found.update(tiny_learner, batches)
        return grads(tiny_learner), metrics

    return of


def test_what_the_clip_would_drop_keeps_a_bounded_gradient_and_the_rest_is_ppos():
    # A = 1: ratios 2, 1.1, 0.1 -> 1.28, 1.1, 0.1. A = -1: ratios 2, 1.1, 0.1 -> 2, 1.1, 0.8. Mean over 6 tokens.
    found = batch(row([1.0, 1.0, 1.0, -1.0, -1.0, -1.0]))
    slopes = gradient(algorithm(Gppo), found, policy(found, logs(2.0, 1.1, 0.1, 2.0, 1.1, 0.1)))
    expected = [-1.28 / 6, -1.1 / 6, -0.1 / 6, 2 / 6, 1.1 / 6, 0.8 / 6]
    assert slopes.tolist()[0] == pytest.approx(expected, rel=1e-5)


def test_the_value_is_that_of_clip_higher():
    # min(2, 1.28) and -max(0.1, 0.8), mean of 1.28 and -0.8; one of each clipped.
    found = batch(row([1.0, -1.0]))
    loss, metrics = algorithm(Gppo).loss(Forward(policy(found, logs(2.0, 0.1))), found)
    assert float(loss.detach()) == pytest.approx(-(1.28 - 0.8) / 2)
    assert metrics["policy/clip_frac"] == 1.0


def test_groups_without_spread_are_left_out():
    assert algorithm(Gppo).admit(group(1.0, 0.0))
    assert not algorithm(Gppo).admit(group(1.0, 1.0))


def test_correct_episodes_are_imitated_over_their_own_tokens(tiny_learner, caught):
    # All advantages 0: what is left is 0.1 times the mean over the 3 correct tokens of -log pi.
    right = replace(batch(row([None, 0.0, 0.0, 0.0])), return_B=torch.tensor([1.0]))
    wrong = replace(batch(row([None, 0.0], episode=1)), return_B=torch.tensor([0.9]))
    found, metrics = caught(algorithm(Gppo), [replace(right, scale=0.75), replace(wrong, scale=0.25)])
    tiny_learner.optimizer.zero_grad()
    mean = -tiny_learner.forward(right).logp_BL.sum() / 3
    (0.1 * mean).backward()
    assert metrics["loss/imitation"] == pytest.approx(float(mean.detach()))
    for name, expected in grads(tiny_learner).items():
        assert torch.allclose(found[name], expected, atol=1e-6)


def test_a_cut_of_the_minibatch_leaves_what_is_imitated_alone(caught):
    rows = [row([None, 1.0, 1.0]), row([None, -1.0, 0.5, 0.3], episode=1), row([0.0, 2.0], episode=2)]
    rows = [replace(one, ret=ret) for one, ret in zip(rows, (1.0, 0.0, 2.0), strict=True)]
    whole, total = caught(algorithm(Gppo), [batch(*rows)])
    cut, parts = caught(algorithm(Gppo), [batch(*rows[:2], scale=5 / 7), batch(rows[2], scale=2 / 7)])
    for name, expected in whole.items():
        assert torch.allclose(cut[name], expected, atol=1e-6)
    assert parts == pytest.approx(total, abs=1e-5)


def test_nothing_is_skipped_while_something_is_imitated():
    assert not algorithm(Gppo).skips_zero
    assert algorithm(Gppo, imitate=0).skips_zero
