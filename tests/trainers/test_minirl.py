import math
from dataclasses import replace

import pytest
import torch
from by_hand import algorithm, batch, gradient, group, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.minirl import Minirl


def logs(*values):
    return [[math.log(value) for value in values]]


def test_the_advantage_is_the_return_less_the_mean():
    assert algorithm(Minirl).advantages([group(1.0, 0.0, 0.0, 1.0), group(3.0)]) == [
        [[0.5], [-0.5], [-0.5], [0.5]],
        [[0.0]],
    ]


def test_the_weight_is_the_ratio_to_the_sampler_truncated_at_5():
    # One update a step: nothing is stale. -w A, summed over the tokens of each of two episodes, mean over the two.
    found = batch(row([1.0, 1.0, -1.0], episode=0), row([1.0], episode=1))
    slopes = gradient(algorithm(Minirl), found, policy(found, logs(2.0, 9.0, 0.1) + logs(1.0)))
    assert slopes[0].tolist() == pytest.approx([-2.0 / 2, -5.0 / 2, 0.1 / 2])
    assert slopes[1, 0].item() == pytest.approx(-1 / 2)


def test_staleness_masks_and_mismatch_does_not():
    # pi / mu is 2 everywhere. pi / pi_old: 1.28 and 1.26 with A > 0, 1.28 with A < 0; 0.79 and 0.81 with A < 0, 0.79
    # with A > 0.
    found = batch(row([1.0, 1.0, -1.0, -1.0, -1.0, 1.0]))
    logp_BL = policy(found, logs(*[2.0] * 6))
    stale = torch.tensor([[1.28, 1.26, 1.28, 0.79, 0.81, 0.79]])
    found = replace(found, before_BL=logp_BL.detach() - stale.log())
    loss, metrics = algorithm(Minirl).loss(Forward(logp_BL), found)
    [slopes] = torch.autograd.grad(loss, logp_BL)
    assert slopes.tolist()[0] == pytest.approx([0.0, -2.0, 2.0, 0.0, 2.0, -2.0])
    assert metrics["policy/clip_frac"] == pytest.approx(2 / 6)
    assert metrics["policy/truncated_share"] == 0.0


def test_truncated_weights_are_counted():
    found = batch(row([1.0, 1.0, None, 1.0, 1.0]))
    _, metrics = algorithm(Minirl, truncate=1.5).loss(Forward(policy(found, logs(2.0, 1.0, 9.0, 1.4, 1.6))), found)
    assert metrics["policy/truncated_share"] == 0.5


def test_the_policy_before_the_step_is_kept_where_more_than_one_update_is_to_come(tiny_learner):
    found = batch(row([None, 1.0, -1.0]))
    assert algorithm(Minirl).prepare(tiny_learner, [found])[0].before_BL is None
    for more in ({"minibatches": 2}, {"epochs": 2}):
        [kept] = algorithm(Minirl, **more).prepare(tiny_learner, [found])
        assert torch.equal(kept.before_BL, tiny_learner.forward(found).logp_BL.detach())
        assert not kept.before_BL.requires_grad
