import math

import pytest
import torch
from by_hand import algorithm, batch, episode, gradient, group, group_of, policy, row

from trainers.algorithms.reinforce_pp import ReinforcePp


def test_credit_is_the_reward_still_to_come():
    # Rewards 1, 0, 2: 3 from the first turn on, 2 from the second, 2 from the third.
    found = algorithm(ReinforcePp).advantages([group_of(episode([1.0, 0.0, 2.0]), episode([0.5]))])
    assert found == [[[3.0, 2.0, 2.0], [0.5]]]


def test_the_group_variant_takes_the_groups_mean_return_off():
    # Returns 3 and 1: mean 2, off every turn of both.
    groups = [group_of(episode([1.0, 0.0, 2.0]), episode([1.0])), group(4.0, 4.0)]
    found = algorithm(ReinforcePp, baseline="group").advantages(groups)
    assert found == [[[1.0, 0.0, 0.0], [-1.0]], [[0.0], [0.0]]]


def test_advantages_are_normalised_over_the_tokens_of_the_whole_step():
    # Credits 1, 1, 1 | 0 in one batch and 4, 0 in another: six tokens, mean 7/6, squares 19, so the sample variance is
    # (19 - 6 (7/6)^2) / 5 = 2.166667, std 1.471960. 1 -> -0.113228, 0 -> -0.792594, 4 -> 1.924872.
    batches = [batch(row([1.0, None, 1.0, 1.0]), row([0.0], episode=1)), batch(row([None, 4.0, 0.0], episode=2))]
    first, second = algorithm(ReinforcePp).prepare(None, batches)
    assert first.advantage_BL.tolist()[0] == pytest.approx([-0.113228, 0.0, -0.113228, -0.113228], abs=1e-5)
    assert first.advantage_BL.tolist()[1] == pytest.approx([-0.792594, 0.0, 0.0, 0.0], abs=1e-5)
    assert second.advantage_BL.tolist()[0] == pytest.approx([0.0, 1.924872, -0.792594], abs=1e-5)


def test_a_step_of_equal_returns_teaches_nothing():
    [found] = algorithm(ReinforcePp).prepare(None, [batch(row([1.0, 1.0]), row([1.0], episode=1))])
    assert not found.advantage_BL.any()


def test_a_step_of_one_token_teaches_nothing():
    [found] = algorithm(ReinforcePp).prepare(None, [batch(row([7.0]))])
    assert found.advantage_BL.tolist() == [[0.0]]


def test_the_surrogate_is_clipped_on_both_sides():
    # A = 1, ratio 1.3: no gradient. A = -1, ratio 1.3: +1.3 / 2 tokens.
    found = batch(row([1.0, -1.0]))
    slopes = gradient(algorithm(ReinforcePp), found, policy(found, [[math.log(1.3)] * 2]))
    assert slopes.tolist()[0] == pytest.approx([0.0, 0.65])


def test_the_kl_penalty_keeps_a_reference_for_prepare_but_not_for_the_updates():
    found = algorithm(ReinforcePp, kl_reward=0.1)
    assert found.keeps == {"reference"}
    assert found.needs == frozenset()
    assert algorithm(ReinforcePp).keeps == frozenset()


def test_the_kl_penalty_of_later_tokens_counts_against_earlier_ones(tiny_learner):
    # Credit 0 everywhere, so A_t = -0.5 sum_{k >= t} (behaviour_k - reference_k), then whitened over the three tokens.
    found = batch(row([None, 0.0, 0.0, None, 0.0], behaviour=-0.7))
    reference_BL = tiny_learner.forward(found, frozenset({"reference"})).reference_BL
    cost = (found.behaviour_BL - reference_BL)[0, [1, 2, 4]]
    expected = -0.5 * torch.stack([cost.sum(), cost[1:].sum(), cost[2]])
    expected = (expected - expected.mean()) / expected.std()
    [prepared] = algorithm(ReinforcePp, kl_reward=0.5).prepare(tiny_learner, [found])
    assert prepared.advantage_BL[0, [1, 2, 4]].tolist() == pytest.approx(expected.tolist(), abs=1e-4)
    assert prepared.advantage_BL[0, [0, 3]].tolist() == [0.0, 0.0]
