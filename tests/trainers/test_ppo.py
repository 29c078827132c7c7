import math
from dataclasses import replace

import pytest
import torch
from by_hand import algorithm, batch, episode, group_of, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.ppo import Ppo


def given(found, value_BL, *, old=0.0, target=0.0):
    """The batch as `prepare` leaves it, and a forward pass with these values."""
    like_BL = found.behaviour_BL
    prepared = replace(found, value_BL=torch.full_like(like_BL, old), target_BL=torch.full_like(like_BL, target))
    return Forward(policy(found, []), value_BL=torch.tensor(value_BL, requires_grad=True)), prepared


def test_the_hook_gives_the_shaped_reward_of_each_turn():
    assert algorithm(Ppo).advantages([group_of(episode([0.0, 1.0]), episode([0.5]))]) == [[[0.0, 1.0], [0.5]]]


def test_the_policy_loss_and_the_value_loss_are_added():
    # On-policy, A = 1 and -1: policy loss 0. Values 1 and 0, targets 0.4: squares 0.36 and 0.16; old ones 0.9 and 0.1,
    # within the clip of 0.5. Value loss 0.5 * (0.36 + 0.16) / 2 = 0.13, weight 0.5: loss 0.065.
    found = batch(row([None, 1.0, -1.0]))
    forward, prepared = given(found, [[5.0, 1.0, 0.0]], target=0.4)
    prepared = replace(prepared, value_BL=torch.tensor([[0.0, 0.9, 0.1]]))
    loss, metrics = algorithm(Ppo, kl=0).loss(forward, prepared)
    assert float(loss.detach()) == pytest.approx(0.065, abs=1e-6)
    assert metrics["loss/value"] == pytest.approx(0.13, abs=1e-6)
    assert metrics["loss/policy"] == pytest.approx(0.0, abs=1e-6)
    assert metrics["critic/value_mean"] == pytest.approx(0.5)
    assert metrics["critic/error_rms"] == pytest.approx(math.sqrt(0.26))
    # d/dV = 0.5 * 0.5 * 2 (V - target) / 2 tokens: 0.25 * 0.6 and 0.25 * -0.4; the shown id has none.
    [slopes] = torch.autograd.grad(loss, forward.value_BL)
    assert slopes.tolist()[0] == pytest.approx([0.0, 0.15, -0.1])


@pytest.mark.parametrize(("value", "slope"), [(0.9, 0.0), (0.4, 0.5 * (0.4 - 1.0)), (-0.9, 0.5 * (-0.9 - 1.0))])
def test_a_value_that_went_too_far_towards_its_target_has_no_gradient(value, slope):
    # Old 0, target 1, clip 0.5. Value 0.9: max((0.9 - 1)^2, (0.5 - 1)^2) = 0.25, a constant. Value -0.9 went the wrong
    # way: max(1.9^2, 1.5^2) = 1.9^2 keeps its gradient 0.5 * 0.5 * 2 (V - 1).
    forward, prepared = given(batch(row([0.0])), [[value]], target=1.0)
    loss, _ = algorithm(Ppo, kl=0).loss(forward, prepared)
    [slopes] = torch.autograd.grad(loss, forward.value_BL)
    assert slopes.item() == pytest.approx(slope)


def test_values_are_not_clipped_when_told_so():
    forward, prepared = given(batch(row([0.0])), [[3.0]], target=1.0)
    loss, _ = algorithm(Ppo, kl=0, value_clip=0).loss(forward, prepared)
    assert float(loss.detach()) == pytest.approx(0.5 * 0.5 * 4.0)


def test_a_batch_that_was_not_prepared_is_refused():
    found = batch(row([1.0]))
    with pytest.raises(ValueError, match="prepare"):
        algorithm(Ppo).loss(Forward(policy(found, []), value_BL=torch.zeros(1, 1)), found)


def test_prepare_credits_each_token_over_the_turns_and_rows_of_its_episode(tiny_learner):
    # Turn rewards 0, 1 | 2 over rows of 2 + 1 and 2 tokens: reward 0, 0, 1, 0, 2 on the five sampled tokens in order.
    # gamma 1, lam 1: the target of each is the sum of what is to come: 3, 3, 3, 2, 2; A = target - V.
    first = batch(row([None, 0.0, 0.0, None, 1.0], episode=3, turns=[-1, 0, 0, -1, 1]))
    second = batch(row([2.0, 2.0], episode=3, turns=[2, 2]), row([None, 5.0], episode=0))
    plain = algorithm(Ppo, whiten=False, kl=0)
    one, two = plain.prepare(tiny_learner, [first, second])
    assert one.target_BL[0].tolist() == pytest.approx([0.0, 3.0, 3.0, 0.0, 3.0], abs=1e-5)
    assert two.target_BL.tolist() == [pytest.approx([2.0, 2.0], abs=1e-5), pytest.approx([0.0, 5.0], abs=1e-5)]
    for found in (one, two):
        assert not found.value_BL[~found.mask_BL].any()
        assert torch.allclose(found.advantage_BL, found.target_BL - found.value_BL, atol=1e-5)


def test_prepare_bootstraps_with_the_critic_where_lambda_is_less_than_1(tiny_learner):
    # lam 0: A_k = r_k + V_{k+1} - V_k over the three sampled tokens, rewards 0, 1, 4.
    found = batch(row([None, 1.0, 1.0, None, 4.0], turns=[-1, 0, 0, -1, 1]))
    with torch.no_grad():
        a, b, c = tiny_learner.forward(found, frozenset({"value"})).value_BL[0, [1, 2, 4]].tolist()
    [prepared] = algorithm(Ppo, lam=0.0, whiten=False, kl=0).prepare(tiny_learner, [found])
    assert prepared.advantage_BL[0, [1, 2, 4]].tolist() == pytest.approx([b - a, 1 + c - b, 4 - c], abs=1e-5)


def test_advantages_are_whitened_over_the_step(tiny_learner):
    batches = [batch(row([1.0, None, 0.0], turns=[0, -1, 1])), batch(row([3.0, 3.0], episode=1))]
    found = algorithm(Ppo, kl=0).prepare(tiny_learner, batches)
    values = torch.cat([each.advantage_BL[each.mask_BL] for each in found])
    assert float(values.mean()) == pytest.approx(0.0, abs=1e-5)
    assert float(values.std()) == pytest.approx(1.0, abs=1e-4)
