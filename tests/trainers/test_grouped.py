"""Losses that compare the episodes of a group: REAL, PACS, CoPG."""

import math

import pytest
from by_hand import algorithm, batch, gradient, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.copg import Copg
from trainers.algorithms.pacs import Pacs
from trainers.algorithms.real import Real

ALL = (Real, Pacs, Copg)
ROWS = (
    row([None, 1.0, 1.0], episode=0, ret=1.0),
    row([None, 1.0], episode=0, ret=1.0, turns=[-1, 1]),
    row([-1.0, -1.0, -1.0], episode=1, ret=0.0),
    row([-1.0], episode=2, ret=0.0),
    row([None, 2.0, None, 2.0], episode=3, ret=3.0, group=1),
    row([-2.0], episode=4, ret=1.0, group=1),
)
RATIOS = [[0.0, 0.1, 0.2], [0.0, 0.3], [-0.2, 0.4, 0.1], [0.5], [0.0, 0.7, 0.0, -0.1], [-0.3]]


def sigmoid(value):
    return 1 / (1 + math.exp(-value))


def slopes(found, whole, ratios):
    logp_BL = policy(whole, ratios)
    return gradient(found, whole, logp_BL, entropy_BL=-logp_BL, reference_BL=whole.behaviour_BL)


def loss_of(found, whole, ratios):
    forward = Forward(policy(whole, ratios), reference_BL=whole.behaviour_BL)
    return found.loss(forward, whole)


@pytest.mark.parametrize("kind", ALL)
@pytest.mark.parametrize("aggregate", ["sequence", "token", "constant"])
def test_a_cut_between_groups_leaves_the_gradient_alone(kind, aggregate):
    found = algorithm(kind, aggregate=aggregate, kl=0.1, entropy=0.01)
    whole = batch(*ROWS)
    expected = slopes(found, whole, RATIOS)
    for part in ([4, 5], [0, 1, 2, 3]):
        one = batch(*(ROWS[index] for index in part))
        moved = slopes(found, one, [RATIOS[index] for index in part]) * found.weight(one) / found.weight(whole)
        for b, index in enumerate(part):
            length = len(ROWS[index].segment)
            assert moved[b, :length].tolist() == pytest.approx(expected[index, :length].tolist(), abs=1e-6)
    assert found.together == "group"


@pytest.mark.parametrize("kind", ALL)
def test_an_episode_is_one_whatever_its_rows(kind):
    whole = batch(row([None, 1.0, 1.0, None, 1.0], ret=1.0), row([-1.0, -1.0], episode=1))
    cut = batch(row([None, 1.0, 1.0], ret=1.0), row([None, 1.0], ret=1.0), row([-1.0, -1.0], episode=1))
    found = algorithm(kind)
    first, _ = loss_of(found, whole, [[0.0, 0.1, 0.2, 0.0, 0.3], [-0.4, 0.1]])
    second, _ = loss_of(found, cut, [[0.0, 0.1, 0.2], [0.0, 0.3], [-0.4, 0.1]])
    assert float(first.detach()) == pytest.approx(float(second.detach()))


@pytest.mark.parametrize("kind", ALL)
def test_an_episode_alone_in_its_group_has_nothing_to_compare_with(kind):
    found = batch(row([0.0, 0.0], ret=1.0))
    assert not slopes(algorithm(kind), found, [[0.3, 0.2]]).any()


def test_real_on_policy_pulls_each_of_n_rollouts_of_a_side_by_1_over_tau_and_n_plus_1():
    # Episode 0 is right (1 of them), 1 and 2 wrong (2): (1 / 0.5) / 2 = 1 and (1 / 0.5) / 3 = 2 / 3, over the tokens.
    found = batch(*ROWS[:4])
    moved = slopes(algorithm(Real), found, [])
    assert moved[0].tolist() == pytest.approx([0.0, -1 / 3, -1 / 3])
    assert moved[1, 1].item() == pytest.approx(-1 / 3)
    assert moved[2].tolist() == pytest.approx([2 / 9] * 3)
    assert moved[3, 0].item() == pytest.approx(2 / 3)


def test_real_measures_mean_log_ratios_against_the_anchor():
    # Means 0.2 and 0.1, 0.5; by tau 0.5: log(1 + e^-0.4) + log(1 + e^0.2 + e^1).
    loss, _ = loss_of(algorithm(Real), batch(*ROWS[:4]), RATIOS[:4])
    expected = math.log(1 + math.exp(-0.4)) + math.log(1 + math.exp(0.2) + math.exp(1.0))
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_real_has_a_variant_with_a_cross_entropy_an_episode():
    loss, _ = loss_of(algorithm(Real, variant="bce"), batch(*ROWS[:4]), RATIOS[:4])
    expected = -(math.log(sigmoid(0.4)) + math.log(sigmoid(-0.2)) + math.log(sigmoid(-1.0))) / 3
    assert float(loss.detach()) == pytest.approx(expected, rel=1e-5)


def test_pacs_is_the_cross_entropy_of_leave_one_out_scores():
    # Sums 0.6, 0.3, 0.5: psi 0.6 - 0.4, 0.3 - 0.55, 0.5 - 0.45. One right, two wrong.
    losses = [-math.log(sigmoid(value)) for value in (0.2, 0.25, -0.05)]
    plain, _ = loss_of(algorithm(Pacs, balanced=False), batch(*ROWS[:4]), RATIOS[:4])
    assert float(plain.detach()) == pytest.approx(sum(losses) / 3, rel=1e-5)
    # Balanced: 3 / (2 * 1) for the right one, 3 / (2 * 2) for each wrong one.
    balanced, _ = loss_of(algorithm(Pacs), batch(*ROWS[:4]), RATIOS[:4])
    expected = (1.5 * losses[0] + 0.75 * losses[1] + 0.75 * losses[2]) / 3
    assert float(balanced.detach()) == pytest.approx(expected, rel=1e-5)


def test_pacs_scales_its_rewards_by_beta():
    loss, _ = loss_of(algorithm(Pacs, beta=2.0, balanced=False), batch(*ROWS[4:]), RATIOS[4:])
    # Sums 0.6 and -0.3, twice: psi 1.8 and -1.8.
    assert float(loss.detach()) == pytest.approx(-math.log(sigmoid(1.8)), rel=1e-5)


def test_copg_contrasts_the_pairs_of_a_group():
    # R 3 and 1, log-ratios 0.6 and -0.3, beta 0.5: -(2 - 0.25 * 0.9) * 0.9.
    loss, _ = loss_of(algorithm(Copg, beta=0.5), batch(*ROWS[4:]), RATIOS[4:])
    assert float(loss.detach()) == pytest.approx(-(2 - 0.225) * 0.9, rel=1e-5)
    # Its gradient is -(R_beta(y) - R_beta(y')): -(2 - 0.5 * 0.9), on every token of one, against it on the other's.
    moved = slopes(algorithm(Copg, beta=0.5), batch(*ROWS[4:]), RATIOS[4:])
    assert moved[0].tolist() == pytest.approx([0.0, -1.55, 0.0, -1.55], rel=1e-5)
    assert moved[1, 0].item() == pytest.approx(1.55, rel=1e-5)


def test_copg_is_rloo_where_the_policy_is_the_reference():
    # Mean over the 3 pairs of (R_i - R_j): 2 / 3 for the right one, -1 / 3 for each wrong one.
    moved = slopes(algorithm(Copg), batch(*ROWS[:4]), [])
    assert moved[0].tolist() == pytest.approx([0.0, -2 / 3, -2 / 3])
    assert moved[3, 0].item() == pytest.approx(1 / 3)


def test_copg_says_what_it_misses():
    found = batch(*ROWS[4:])
    with pytest.raises(ValueError, match="reference"):
        algorithm(Copg).loss(Forward(policy(found, [])), found)
    assert "reference" in algorithm(Copg).needs
    assert not algorithm(Copg).skips_zero


def test_the_label_is_the_side_of_the_mean_and_the_mean_itself_has_none():
    found = batch(row([1.0]), row([0.0], episode=1), row([-1.0], episode=2))
    for kind in (Real, Pacs):
        moved = slopes(algorithm(kind), found, [])
        assert moved[0, 0] < 0 < moved[2, 0]
    assert slopes(algorithm(Real), found, [])[1, 0] == 0
