import math

import pytest
from by_hand import algorithm, batch, gradient, group, policy, row

from trainers.algorithms.rloo import Rloo


def test_the_baseline_of_an_episode_is_the_mean_of_the_others():
    # Returns 3, 1, 0, 0: 3 - 1/3 = 2.6667, 1 - 3/3 = 0, 0 - 4/3 = -1.3333 twice.
    [found] = algorithm(Rloo).advantages([group(3.0, 1.0, 0.0, 0.0)])
    assert [value for [value] in found] == pytest.approx([8 / 3, 0.0, -4 / 3, -4 / 3])


def test_the_baseline_is_the_self_inclusive_one_times_g_over_g_minus_1():
    returns = [0.2, 0.9, 0.4, 0.4, 0.1]
    mean = sum(returns) / 5
    assert algorithm(Rloo).scores(returns) == pytest.approx([5 / 4 * (value - mean) for value in returns])


@pytest.mark.parametrize("returns", [(0.3,) * 7, (5.0,), ()])
def test_a_group_without_spread_has_no_advantage(returns):
    [found] = algorithm(Rloo).advantages([group(*returns)])
    assert all(value == 0.0 for [value] in found)


def test_the_gradient_is_reinforces_sum_over_the_tokens_of_an_episode():
    # -A for each token, over 2 episodes: -2/2 on both tokens of the first, +1/2 on the token of the second.
    found = batch(row([2.0, None, 2.0], episode=0), row([-1.0], episode=1))
    slopes = gradient(algorithm(Rloo), found, policy(found, []))
    assert slopes.tolist() == [[-1.0, 0.0, -1.0], [0.5, 0.0, 0.0]]


def test_the_ratio_is_kept_and_never_clipped():
    # d(-ratio A)/d(logp) = -ratio A: ratio 10 with A = 1 and ratio 0.01 with A = -1 both pass.
    found = batch(row([1.0, -1.0]))
    slopes = gradient(algorithm(Rloo), found, policy(found, [[math.log(10), math.log(0.01)]]))
    assert slopes.tolist()[0] == pytest.approx([-10.0, 0.01], rel=1e-5)


def test_a_clip_can_be_asked_for():
    found = batch(row([1.0, -1.0]))
    rloo = algorithm(Rloo, clip_low=0.2, clip_high=0.2)
    assert gradient(rloo, found, policy(found, [[math.log(10), math.log(0.01)]])).tolist() == [[0.0, 0.0]]
