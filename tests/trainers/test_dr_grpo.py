import pytest
from by_hand import algorithm, batch, gradient, group, policy, row

from trainers.algorithms.dr_grpo import DrGrpo


def test_advantages_are_not_divided_by_the_spread():
    # Returns 1, 0, 0, 0: mean 1/4.
    [found] = algorithm(DrGrpo).advantages([group(1.0, 0.0, 0.0, 0.0)])
    assert [value for [value] in found] == [0.75, -0.25, -0.25, -0.25]


@pytest.mark.parametrize("returns", [(0.3,) * 7, (5.0,), ()])
def test_a_group_without_spread_has_no_advantage(returns):
    [found] = algorithm(DrGrpo).advantages([group(*returns)])
    assert all(value == 0.0 for [value] in found)


def test_every_token_weighs_the_same_whatever_the_length_of_its_episode():
    # -A / (3000 tokens * 2 episodes), on the one token of the first and on all three of the second.
    found = batch(row([1.0], episode=0), row([1.0, None, 1.0, 1.0], episode=1))
    slopes = gradient(algorithm(DrGrpo), found, policy(found, []))
    assert slopes[found.mask_BL].tolist() == pytest.approx([-1 / 6000] * 4)


def test_rows_of_one_episode_are_counted_once():
    # Two rows of one episode: -A / (10 * 1 episode).
    found = batch(row([1.0], episode=4), row([1.0], episode=4))
    slopes = gradient(algorithm(DrGrpo, constant_tokens=10), found, policy(found, []))
    assert slopes.tolist() == [[pytest.approx(-0.1)], [pytest.approx(-0.1)]]
