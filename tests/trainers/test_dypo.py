"""Groups graded by how many of their episodes solved the task."""

import math
from dataclasses import replace

import pytest
from by_hand import algorithm, batch, episode, gradient, group_of, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.dypo import Dypo
from trainers.algorithms.grpo import Grpo

MID = (row([None, 1.0, 1.0], episode=0), row([-1.0, -1.0], episode=1), row([-0.5], episode=2))


def shown(found, **more):
    return replace(found, shown=True, **more)


def loss_of(dypo, found, ratios, reference):
    forward = Forward(policy(found, ratios), reference_BL=policy(found, reference).detach())
    loss, metrics = dypo.loss(forward, found)
    return float(loss.detach()), metrics


def test_only_what_nobody_solved_and_nothing_tells_apart_is_asked_for():
    dypo = algorithm(Dypo)
    won, lost, better = episode([1.0], solved=True), episode([0.0], solved=False), episode([0.3], solved=False)
    assert dypo.asks(group_of(lost, lost))
    assert not dypo.asks(group_of(won, won))
    assert not dypo.asks(group_of(won, lost))
    assert not dypo.asks(group_of(lost, better))


def test_each_success_is_set_against_each_failure():
    # Log-ratios to the reference: 0.2 + 0.3 of the solved, 0.1 and -0.4 of the failed. alpha 0 leaves L_GAL alone:
    # (softplus(-2 * 0.4) + softplus(-2 * 0.9)) / 2.
    dypo = algorithm(Dypo, alpha=0.0, beta=2.0)
    found = batch(*MID)
    loss, metrics = loss_of(dypo, found, [[0.0, 0.2, 0.3], [0.1, 0.0], [-0.4]], [])
    expected = (math.log1p(math.exp(-0.8)) + math.log1p(math.exp(-1.8))) / 2
    assert loss == pytest.approx(expected, rel=1e-5)
    assert metrics["loss/contrast"] == pytest.approx(expected, rel=1e-5)
    assert metrics["loss/imitation"] == 0.0


def test_the_gradient_of_a_mid_group_is_a_mixture():
    # At the reference: -beta / 2 on the solved, +beta / 2 times their share of the pairs on the failed; GRPO's beside.
    found = batch(*MID)
    logp_BL = policy(found, [])
    alone = gradient(algorithm(Grpo, kl=0), found, logp_BL)
    mixed = gradient(algorithm(Dypo, alpha=0.25), found, logp_BL, reference_BL=logp_BL.detach())
    assert mixed[0].tolist() == pytest.approx([0.0, *[0.25 * alone[0, 1].item() - 0.75 * 0.5] * 2])
    assert mixed[1, :2].tolist() == pytest.approx([0.25 * alone[1, 0].item() + 0.75 * 0.25] * 2)
    assert mixed[2, 0].item() == pytest.approx(0.25 * alone[2, 0].item() + 0.75 * 0.25)


def test_a_hard_group_is_shown_how():
    # Two lost episodes, one shown of 2 tokens: -gamma / 2 on each, whatever the sampler's numbers beside it are.
    found = batch(row([0.0, 0.0]), row([0.0], episode=1), shown(row([None, 1.0, 1.0], episode=2, behaviour=0.0)))
    logp_BL = policy(found, [[0.0], [0.0], [0.0, -1.0, -3.0]])
    slopes = gradient(algorithm(Dypo, gamma=0.5), found, logp_BL, reference_BL=logp_BL.detach())
    assert not slopes[:2].any()
    assert slopes[2].tolist() == pytest.approx([0.0, -0.25, -0.25])
    _, metrics = loss_of(algorithm(Dypo), found, [[0.0], [0.0], [0.0, -1.0, -3.0]], [])
    assert metrics["loss/imitation"] == pytest.approx(2.0)
    assert metrics["policy/ratio_mean"] == pytest.approx(1.0)


@pytest.mark.parametrize("aggregate", ["sequence", "token", "constant"])
def test_groups_of_all_grades_may_be_packed_in_any_way(aggregate):
    dypo = algorithm(Dypo, aggregate=aggregate, kl=0.1, entropy=0.01)
    rows = [
        *MID,
        row([0.0, 0.0], episode=3, group=1),
        shown(row([None, 1.0, 1.0], episode=4, group=1, behaviour=0.0)),
        row([0.0], episode=5, group=2),
    ]
    ratios = [[0.0, 0.1, 0.2], [0.3, -0.1], [0.2], [0.1], [0.0, -1.0, -0.5], [0.2]]

    def slopes(which):
        found = batch(*(rows[index] for index in which))
        logp_BL = policy(found, [ratios[index] for index in which])
        return gradient(dypo, found, logp_BL, entropy_BL=-logp_BL, reference_BL=found.behaviour_BL - 0.1), found

    whole, all_of_it = slopes(range(6))
    for part in ([0, 1, 2], [3, 4], [5], [3, 4, 5]):
        moved, found = slopes(part)
        moved = moved * dypo.weight(found) / dypo.weight(all_of_it)
        for b, index in enumerate(part):
            length = len(rows[index].segment)
            assert moved[b, :length].tolist() == pytest.approx(whole[index, :length].tolist(), abs=1e-6)


def test_easy_groups_cost_nothing():
    dypo = algorithm(Dypo)
    assert dypo.skips_zero
    assert "reference" in dypo.needs
    with pytest.raises(ValueError, match="dypo learns from a forward pass that has the reference"):
        dypo.loss(Forward(policy(batch(*MID), [])), batch(*MID))
