import math

import pytest
import torch
from attempts import WRONG, attempts, good
from by_hand import algorithm, batch, episode, gradient, group_of, policy, row

from trainers.algorithms.base import Forward
from trainers.algorithms.trloo import Trloo
from trainers.batch import Batch
from trainers.plugged import BadConfig
from trainers.recipe import resolve


def test_a_turn_is_compared_with_the_same_turn_of_the_others():
    # To come: 3 2, 1 0, 2 2. Turn 0: 3 - 3/2, 1 - 5/2, 2 - 4/2. Turn 1: 2 - 2/2, 0 - 4/2, 2 - 2/2.
    [found] = algorithm(Trloo).advantages([group_of(episode([1.0, 2.0]), episode([1.0, 0.0]), episode([0.0, 2.0]))])
    assert found == [pytest.approx([1.5, 1.0]), pytest.approx([-1.5, -2.0]), pytest.approx([0.0, 1.0])]


def test_what_is_still_to_come_is_discounted_a_turn():
    # gamma = 1/2. To come: 1 + 2/2 + 4/4 = 3, 2 + 4/2 = 4, 4; and 0, 0, 0.
    trloo = algorithm(Trloo, gamma=0.5)
    [found] = trloo.advantages([group_of(episode([1.0, 2.0, 4.0]), episode([0.0, 0.0, 0.0]))])
    assert found == [[3.0, 4.0, 4.0], [-3.0, -4.0, -4.0]]


def test_the_advantage_is_the_one_with_its_own_baseline_times_n_over_n_minus_1():
    returns = [0.2, 0.9, 0.4, 0.4, 0.1]
    mean = sum(returns) / 5
    [found] = algorithm(Trloo).advantages([group_of(*(episode([value]) for value in returns))])
    assert [value for [value] in found] == pytest.approx([5 / 4 * (value - mean) for value in returns])


def test_episodes_that_are_over_stand_in_no_baseline_of_later_turns():
    # Turn 1 has two: 2 - 4 and 4 - 2. Turn 2 has one: its return as it is, or 0.
    groups = [group_of(episode([0.0]), episode([0.0, 2.0]), episode([0.0, 1.0, 3.0]))]
    [found] = algorithm(Trloo).advantages(groups)
    assert found == [pytest.approx([-3.0]), pytest.approx([0.0, -2.0]), pytest.approx([3.0, 2.0, 3.0])]
    [found] = algorithm(Trloo, lone="zero").advantages(groups)
    assert found[2] == pytest.approx([3.0, 2.0, 0.0])


def test_the_spread_changes_nothing():
    [one] = algorithm(Trloo).advantages([group_of(episode([1.0]), episode([0.0]))])
    [ten] = algorithm(Trloo).advantages([group_of(episode([10.0]), episode([0.0]))])
    assert (one, ten) == ([[1.0], [-1.0]], [[10.0], [-10.0]])


def test_the_gradient_is_the_sum_over_tokens_by_a_thousand():
    # -A / 1000 a token, over 2 episodes.
    found = batch(row([2.0, None, 2.0], episode=0), row([-1.0], episode=1))
    slopes = gradient(algorithm(Trloo), found, policy(found, []))
    assert slopes.tolist() == [pytest.approx([-1e-3, 0.0, -1e-3]), pytest.approx([0.5e-3, 0.0, 0.0])]


def test_episodes_beyond_the_window_of_the_geometric_mean_have_no_gradient():
    # Mean log-ratios: (0.0029 - 0.0011) / 2 = 9e-4 is kept, 0.0011 and -0.0011 are not.
    found = batch(row([1.0, 1.0], episode=0), row([1.0, 1.0], episode=1), row([1.0], episode=2))
    log_ratios = [[0.0029, -0.0011], [0.0022, 0.0], [-0.0011]]
    logp_BL = policy(found, log_ratios)
    loss, metrics = algorithm(Trloo, constant_tokens=1).loss(Forward(logp_BL), found)
    slopes = torch.autograd.grad(loss, logp_BL)[0]
    assert slopes.tolist()[0] == pytest.approx([-math.exp(0.0029) / 3, -math.exp(-0.0011) / 3], rel=1e-5)
    assert not slopes[1:].any()
    assert metrics["mrs/rejected_share"] == pytest.approx(3 / 5)


def test_the_window_is_pooled_over_all_rows_of_an_episode():
    # 0.0015 in one row and 0 in three tokens of another: mean 3.75e-4 is kept, though the first row alone would not be.
    found = batch(row([1.0], episode=0), row([1.0, 1.0, 1.0], episode=0))
    logp_BL = policy(found, [[0.0015]])
    assert algorithm(Trloo).kept(Forward(logp_BL), found).tolist() == [True, True]
    assert algorithm(Trloo).together == "episode"


def test_one_impossible_token_vetoes_its_episode():
    # 20 000 tokens of which one has ratio exp(-9.3) < 1e-4: the mean, -4.65e-4, is inside the window.
    found = batch(row([1.0] * 20_000, episode=0), row([1.0], episode=1))
    logp_BL = policy(found, [[-9.3]])
    assert algorithm(Trloo).kept(Forward(logp_BL), found).tolist() == [False, True]
    assert algorithm(Trloo, mrs_veto=0.0).kept(Forward(logp_BL), found).tolist() == [True, True]
    assert algorithm(Trloo).kept(Forward(policy(found, [[-9.2]])), found).tolist() == [True, True]


def test_without_mrs_nothing_is_rejected():
    found = batch(row([1.0], episode=0))
    _, metrics = algorithm(Trloo, mrs=False).loss(Forward(policy(found, [[0.1]])), found)
    assert "mrs/rejected_share" not in metrics


class Still:
    """A learner whose policy agrees with the sampler but on the first token of each row."""

    def forward(self, batch: Batch) -> Forward:
        return Forward(policy(batch, [[0.5]] * len(batch.ids_BL)))


def test_later_updates_are_judged_by_the_weights_before_the_first_one():
    found = batch(row([1.0, 1.0], episode=0), row([1.0], episode=1))
    assert algorithm(Trloo).prepare(Still(), [found])[0].before_BL is None
    several = algorithm(Trloo, minibatches=2)
    [prepared] = several.prepare(Still(), [found])
    assert several.kept(Forward(policy(found, [])), prepared).tolist() == [False, False]
    assert several.kept(Forward(policy(found, [[3.0]])), several.prepare(Quiet(), [found])[0]).tolist() == [True, True]


class Quiet:
    """A learner whose policy agrees with the sampler."""

    def forward(self, batch: Batch) -> Forward:
        return Forward(policy(batch, []))


def test_correct_turns_that_hardly_use_their_kernels_have_no_gradient():
    # Coverage 0.3 has chance 0, 0.4 and above 1; what is wrong, unread or cannot be told is kept.
    turns = [good(1.0, 0.3), good(1.0, 0.4), good(3.0, 0.0), WRONG, None, good(1.0), {"correct": 0.0, "coverage": 0.0}]
    other = attempts(*[WRONG] * len(turns))
    groups = [group_of(attempts(*turns, reward=1.0), other)]
    [whole] = algorithm(Trloo).advantages(groups)
    trloo = algorithm(Trloo, profile_reject=True)
    [found] = trloo.advantages(groups)
    assert [value != 0 for value in found[0]] == [False, True, False, True, True, True, True]
    assert [value for value in found[0] if value] == [whole[0][at] for at in (1, 3, 4, 5, 6)]
    # What is rejected stays in the others' baselines.
    assert found[1] == whole[1]
    assert trloo._rejected_share == pytest.approx(2 / 14)


def test_between_the_two_a_turn_is_kept_as_often_as_its_coverage_says():
    # (0.325 - 0.3) / 0.1 = 1/4 of 2,000: standard deviation 0.0097.
    trloo = algorithm(Trloo, profile_reject=True)
    groups = [group_of(*(attempts(good(1.0, 0.325), reward=float(number)) for number in range(2000)))]
    kept = [value != 0 for [value] in trloo.advantages(groups)[0]]
    assert sum(kept) / 2000 == pytest.approx(0.25, abs=0.05)
    hard = algorithm(Trloo, profile_reject=True, profile_ramp=0.0)
    assert all(value != 0 for [value] in hard.advantages(groups)[0][:5])


def test_a_resumed_run_rejects_the_same_turns():
    groups = [group_of(*(attempts(good(1.0, 0.35), reward=float(number)) for number in range(40)))]
    trloo, other = (algorithm(Trloo, profile_reject=True) for _ in range(2))
    first = trloo.advantages(groups)
    other.pool.load_state_dict(trloo.pool.state_dict())
    assert trloo.advantages(groups) == other.advantages(groups) != first


def test_the_constants_are_the_papers():
    config = Trloo.Config()
    assert (config.gamma, config.mrs_low, config.mrs_high, config.mrs_veto) == (1.0, 0.999, 1.001, 1e-4)
    assert (config.profile_from, config.profile_ramp, config.constant_tokens) == (0.3, 0.1, 1000)
    assert (config.clip_low, config.clip_high, config.kl, config.entropy) == (0.2, 0.28, 0.0, 0.0)


def test_a_ramp_that_ends_beyond_1_is_refused():
    table = {"name": "run", "env": {"name": "kernel"}, "algorithm": {"name": "trloo", "profile_from": 0.95}}
    with pytest.raises(BadConfig, match="add up to 1"):
        resolve(table)
