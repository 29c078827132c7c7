import math

import pytest
import torch
from by_hand import algorithm, batch, gradient, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.gspo import Gspo


def test_the_ratio_is_the_geometric_mean_over_the_sequence():
    # Log-ratios 3e-4, -1e-4, 1e-4: mean 1e-4, s = exp(1e-4) inside the clip; A = 2: loss = -2 s = -2.000200.
    # The gradient reaches each token alike: -s A / 3.
    found = batch(row([None, 2.0, 2.0, 2.0]))
    logp_BL = policy(found, [[0.0, 3e-4, -1e-4, 1e-4]])
    loss, metrics = algorithm(Gspo).loss(Forward(logp_BL), found)
    assert float(loss.detach()) == pytest.approx(-2 * math.exp(1e-4), abs=1e-6)
    assert metrics["policy/ratio_mean"] == pytest.approx(math.exp(1e-4), abs=1e-6)
    [slopes] = torch.autograd.grad(loss, logp_BL)
    assert slopes.tolist()[0] == pytest.approx([0.0, *[-2 / 3 * math.exp(1e-4)] * 3], rel=1e-4)


def test_a_sequence_is_clipped_as_a_whole():
    # Mean log-ratio (0.003 + 0 + 0) / 3 = 1e-3 > ln(1 + 4e-4): no token has a gradient, though two have ratio 1.
    found = batch(row([1.0, 1.0, 1.0]))
    loss, metrics = algorithm(Gspo).loss(Forward(policy(found, [[0.003, 0.0, 0.0]])), found)
    assert float(loss.detach()) == pytest.approx(-1.0004, abs=1e-6)
    assert metrics["policy/clip_frac"] == 1.0
    assert not gradient(algorithm(Gspo), found, policy(found, [[0.003, 0.0, 0.0]])).any()


def test_the_clip_is_narrower_below():
    # A = -1: s = exp(-2e-4) passes, s = exp(-3.5e-4) < 1 - 3e-4 does not.
    found = batch(row([-1.0], episode=0), row([-1.0], episode=1))
    slopes = gradient(algorithm(Gspo), found, policy(found, [[-2e-4], [-3.5e-4]]))
    assert slopes[:, 0].tolist() == pytest.approx([math.exp(-2e-4) / 2, 0.0])


def test_an_episode_in_many_rows_has_one_ratio_pooled_over_its_tokens():
    # Episode 0 has rows of 1 and 3 tokens with log-ratios 4e-4 and 0, 0, 0: pooled mean 1e-4, not the rows' 2e-4.
    # Episode 1 stays on-policy: s = 1. Loss = -(exp(1e-4) + 1) / 2.
    found = batch(row([1.0], episode=0), row([1.0, 1.0, 1.0], episode=0), row([1.0], episode=1))
    gspo = algorithm(Gspo)
    logp_BL = policy(found, [[4e-4]])
    loss, _ = gspo.loss(Forward(logp_BL), found)
    assert float(loss.detach()) == pytest.approx(-(math.exp(1e-4) + 1) / 2, abs=1e-6)
    slopes = gradient(gspo, found, logp_BL)
    assert slopes[found.mask_BL].tolist() == pytest.approx([-math.exp(1e-4) / 8] * 4 + [-0.5], rel=1e-4)
    assert gspo.together == "episode"


def test_rows_stay_together_whatever_the_aggregate():
    assert algorithm(Gspo, aggregate="token").together == "episode"


def test_the_paper_takes_four_minibatches_a_step():
    assert algorithm(Gspo).config.minibatches == 4
