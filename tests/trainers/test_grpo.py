import math

import pytest
import torch
from by_hand import algorithm, batch, episode, gradient, group, group_of, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.grpo import Grpo


def test_advantages_are_the_return_over_the_groups_spread():
    # Returns 1, 0, 0, 1: mean 1/2, sample std sqrt(4 * (1/2)^2 / 3) = 0.57735, so A = +-0.5 / 0.577351 = +-0.866024.
    [found] = algorithm(Grpo).advantages([group(1.0, 0.0, 0.0, 1.0)])
    assert [value for [value] in found] == pytest.approx([0.866024, -0.866024, -0.866024, 0.866024], abs=1e-6)


def test_every_turn_of_an_episode_carries_the_advantage_of_its_summed_reward():
    # Episodes of 3 and 1 turns: returns 0.25 + 0.25 + 0.5 = 1 and 0. Mean 0.5, std 0.707107: A = +-0.707106.
    [[first, second]] = algorithm(Grpo).advantages([group_of(episode([0.25, 0.25, 0.5]), episode([0.0]))])
    assert first == pytest.approx([0.707106] * 3, abs=1e-6)
    assert second == pytest.approx([-0.707106], abs=1e-6)


@pytest.mark.parametrize("returns", [(1.0, 1.0, 1.0), (0.3,) * 7, (5.0,), ()])
def test_a_group_without_spread_has_no_advantage(returns):
    [found] = algorithm(Grpo).advantages([group(*returns)])
    assert all(value == 0.0 for [value] in found)


def test_the_clip_stops_only_what_would_gain_from_going_farther():
    # A = 1: ratio 1.5 gives min(1.5, 1.2) = 1.2 without gradient; ratio 0.5 gives min(0.5, 0.8) = 0.5 with one.
    # A = -1: ratio 1.5 gives min(-1.5, -1.2) = -1.5 with gradient; ratio 0.5 gives min(-0.5, -0.8) = -0.8 without.
    # One row of four tokens, so the loss is -(1.2 + 0.5 - 1.5 - 0.8) / 4 = 0.15, and d(ratio)/d(logp) = ratio.
    found = batch(row([1.0, 1.0, -1.0, -1.0]))
    logp_BL = policy(found, [[math.log(1.5), math.log(0.5), math.log(1.5), math.log(0.5)]])
    loss, metrics = algorithm(Grpo, kl=0).loss(Forward(logp_BL), found)
    assert float(loss.detach()) == pytest.approx(0.15, abs=1e-6)
    assert metrics["policy/clip_frac"] == pytest.approx(0.5)
    assert metrics["policy/ratio_mean"] == pytest.approx(1.0, abs=1e-6)
    # k3 of the distribution sampled from: mean of (1.5 - 1 - ln 1.5) = 0.094535 and (0.5 - 1 - ln 0.5) = 0.193147.
    assert metrics["policy/kl_behaviour_nats"] == pytest.approx(0.143841, abs=1e-6)
    [slopes] = torch.autograd.grad(loss, logp_BL)
    assert slopes.tolist()[0] == pytest.approx([0.0, -0.5 / 4, 1.5 / 4, 0.0], abs=1e-6)


def test_a_long_episode_weighs_as_much_as_a_short_one():
    # On-policy, d(loss)/d(logp) = -A / (tokens of the episode) / (2 episodes): -1/1/2 and -1/4/2.
    found = batch(row([1.0], episode=0), row([1.0, 1.0, None, 1.0, 1.0], episode=1))
    slopes = gradient(algorithm(Grpo, kl=0), found, policy(found, []))
    assert slopes[0].tolist() == pytest.approx([-0.5, 0, 0, 0, 0])
    assert slopes[1].tolist() == pytest.approx([-0.125, -0.125, 0, -0.125, -0.125])


def test_rows_of_one_episode_are_one_sequence():
    # Episode 0 lies in two rows of 1 and 3 tokens: each of its 4 tokens has -1/4/2; episode 1 has -1/1/2.
    found = batch(row([1.0], episode=0), row([1.0, 1.0, 1.0], episode=0), row([1.0], episode=1))
    slopes = gradient(algorithm(Grpo, kl=0), found, policy(found, []))
    assert slopes.tolist() == [[-0.125, 0.0, 0.0], [-0.125] * 3, [-0.5, 0.0, 0.0]]


def test_the_kl_term_is_k3_to_the_reference():
    # gap = log(ref / pi) = ln 2: k3 = 2 - ln 2 - 1 = 0.306853; gap = -ln 2: 0.5 + ln 2 - 1 = 0.193147; mean 0.25.
    # A = 0, so the loss is 0.04 * 0.25 = 0.01. d(k3)/d(logp) = 1 - exp(gap): -1 and 0.5, times 0.04 / 2 tokens.
    found = batch(row([None, 0.0, 0.0]))
    logp_BL = policy(found, [])
    reference_BL = logp_BL.detach() + torch.tensor([[7.0, math.log(2), -math.log(2)]])
    loss, metrics = algorithm(Grpo).loss(Forward(logp_BL, reference_BL=reference_BL), found)
    assert float(loss.detach()) == pytest.approx(0.01, abs=1e-6)
    assert metrics["policy/kl_reference_nats"] == pytest.approx(0.25, abs=1e-6)
    [slopes] = torch.autograd.grad(loss, logp_BL)
    assert slopes.tolist()[0] == pytest.approx([0.0, -0.02, 0.01], abs=1e-6)


def test_the_paper_keeps_a_reference_and_kl_0_keeps_none():
    assert algorithm(Grpo).needs == {"reference"}
    assert algorithm(Grpo, kl=0).needs == frozenset()
    assert algorithm(Grpo, kl=0, entropy=0.01).needs == {"entropy"}
