import math

import pytest
from by_hand import algorithm, batch, gradient, group, policy, row

from trainers.algorithms.a_lol import ALol
from trainers.algorithms.base import Forward

TWO = (row([None, 2.0, 2.0]), row([2.0], turns=[1]), row([1.0, 1.0], episode=1))
"""An episode in two rows and one in one, of advantages 2 and 1."""


def logs(*rows):
    return [[math.log(value) for value in values] for values in rows]


def test_only_what_did_better_than_its_task_is_learned_from():
    groups = [group(1.0, 0.0, 0.0, 1.0), group(3.0, 0.0, 0.0), group(1.0, 1.0)]
    plain = algorithm(ALol, priority=False).advantages(groups)
    assert plain == [[[0.5], [0.0], [0.0], [0.5]], [[2.0], [0.0], [0.0]], [[0.0], [0.0]]]
    # Drawn in proportion to A, 0.5 : 0.5 : 2, mean 1: weights 0.5 * 0.5, 0.5 * 0.5, 2 * 2.
    assert algorithm(ALol).advantages(groups) == [
        [[0.25], [0.0], [0.0], [0.25]],
        [[4.0], [0.0], [0.0]],
        [[0.0], [0.0]],
    ]


def test_what_was_drawn_in_proportion_weighs_the_same_on_average():
    # Draws of 0.5, 0.5, 2 with chances 1/6, 1/6, 4/6: the mean of A is (0.25 + 0.25 + 4) / 3; so is the mean weight.
    found = algorithm(ALol).advantages([group(1.0, 0.0, 0.0, 1.0), group(3.0, 0.0, 0.0)])
    weights = [turns[0] for episodes in found for turns in episodes if turns[0]]
    assert sum(weights) / 3 == pytest.approx(0.5 / 6 + 0.5 / 6 + 2 * 4 / 6)


def test_without_a_baseline_it_is_r_lol():
    assert algorithm(ALol, baseline="none", priority=False).advantages([group(3.0, 1.0, -1.0)]) == [
        [[3.0], [1.0], [0.0]]
    ]


def test_the_ratio_is_of_the_whole_sequence_and_clipped_and_has_no_gradient():
    # Ratios 2 * 0.5 * 1.5 = 1.5, over both rows, and 3 * 1 = 3, clipped at 1.9. -A r, mean over two episodes.
    found = batch(*TWO)
    slopes = gradient(algorithm(ALol), found, policy(found, logs([1.0, 2.0, 0.5], [1.5], [3.0, 1.0])))
    assert slopes[0].tolist() == pytest.approx([0.0, -2 * 1.5 / 2, -2 * 1.5 / 2])
    assert slopes[1, 0].item() == pytest.approx(-2 * 1.5 / 2)
    assert slopes[2, :2].tolist() == pytest.approx([-1.9 / 2] * 2)
    assert algorithm(ALol, aggregate="token").together == "episode"


def test_a_ratio_can_be_of_each_token_or_of_none():
    found = batch(row([1.0, 1.0, 1.0]))
    logp_BL = policy(found, logs([2.0, 0.5, 0.01]))
    assert gradient(algorithm(ALol, variant="token"), found, logp_BL)[0].tolist() == pytest.approx([-1.9, -0.5, -0.1])
    assert gradient(algorithm(ALol, variant="ref_free"), found, logp_BL)[0].tolist() == pytest.approx([-1.0] * 3)
    assert algorithm(ALol, variant="token", aggregate="token").together == "row"


def test_the_kl_variant_draws_back_to_the_reference():
    found = batch(row([1.0, 1.0]), row([0.0], episode=1))
    slopes = gradient(algorithm(ALol, variant="kl", beta=0.3), found, policy(found, logs([2.0, 0.5], [3.0])))
    assert slopes[0].tolist() == pytest.approx([(-1 + 0.3) / 2] * 2)
    assert slopes[1, 0].item() == 0.0


def test_the_reference_can_be_the_start_of_the_run():
    found = batch(row([1.0]))
    start = algorithm(ALol, reference="start")
    assert start.needs == {"reference"}
    assert start.skips_zero
    logp_BL = policy(found, logs([1.0]))
    slopes = gradient(start, found, logp_BL, reference_BL=logp_BL.detach() - math.log(1.4))
    assert slopes.item() == pytest.approx(-1.4)
    with pytest.raises(ValueError, match="reference"):
        start.loss(Forward(logp_BL), found)
