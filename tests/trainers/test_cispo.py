import math

import pytest
from by_hand import algorithm, batch, gradient, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.cispo import Cispo


def test_the_weight_is_clipped_and_the_gradient_is_not():
    # A = 1: weights min(2, 1.2) = 1.2 and 0.1 (never clipped below); A = -1: 1.2 and 0.1 as well. -w A / 4 tokens.
    found = batch(row([1.0, 1.0, -1.0, -1.0]))
    log_ratios = [[math.log(value) for value in (2.0, 0.1, 2.0, 0.1)]]
    slopes = gradient(algorithm(Cispo), found, policy(found, log_ratios))
    assert slopes.tolist()[0] == pytest.approx([-1.2 / 4, -0.1 / 4, 1.2 / 4, 0.1 / 4], rel=1e-5)


def test_the_loss_is_reinforce_on_what_was_just_sampled():
    # Ratio 1, log-probability -1, A = 3 and -1, token mean: -(3 * -1 + -1 * -1) / 2 = 1.
    found = batch(row([3.0, None, -1.0]))
    loss, metrics = algorithm(Cispo).loss(Forward(policy(found, [])), found)
    assert float(loss.detach()) == pytest.approx(1.0)
    assert metrics["policy/clip_frac"] == 0.0


def test_clipped_weights_are_counted():
    found = batch(row([1.0, 1.0, 1.0, 1.0]))
    log_ratios = [[math.log(value) for value in (2.0, 1.1, 0.1, 1.0)]]
    _, metrics = algorithm(Cispo).loss(Forward(policy(found, log_ratios)), found)
    assert metrics["policy/clip_frac"] == 0.25
