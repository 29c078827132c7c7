import math

import pytest
from by_hand import algorithm, batch, episode, gradient, group, group_of, policy, row

from agents.types import StopReason
from trainers.algorithms.base import Group
from trainers.algorithms.dapo import Dapo


@pytest.mark.parametrize(
    ("returns", "admitted"),
    [((0.0, 0.0), False), ((1.0, 1.0, 1.0), False), ((1.0, 0.0), True), ((1.0,), False), ((), False)],
)
def test_only_groups_whose_rewards_differ_are_trained_on(returns, admitted):
    assert algorithm(Dapo).admit(group(*returns)) is admitted


def test_a_shaped_punishment_does_not_make_a_group_worth_training_on():
    alike = group(1.0, 1.0)
    assert not algorithm(Dapo).admit(Group(alike.task, alike.episodes, [[1.0], [0.2]]))


def test_tasks_are_drawn_up_to_ten_times():
    assert algorithm(Dapo).config.max_draws == 10


@pytest.mark.parametrize("stop", [StopReason.MAX_TOKENS, StopReason.MAX_SUMMARIES])
def test_an_episode_whose_tokens_ran_out_counts_in_the_group_but_has_no_gradient(stop):
    # Returns 1, 0, 0: mean 1/3, sample std sqrt((4/9 + 1/9 + 1/9) / 2) = 0.577350: A = 1.154698, -0.577349, -0.577349.
    found = group_of(episode([0.0, 1.0]), episode([0.0]), episode([0.0, 0.0], stop=stop))
    [[first, second, third]] = algorithm(Dapo).advantages([found])
    assert first == pytest.approx([1.154698] * 2, abs=1e-6)
    assert second == pytest.approx([-0.577349], abs=1e-6)
    assert third == [0.0, 0.0]
    [[_, _, third]] = algorithm(Dapo, overlong_filter=False).advantages([found])
    assert third == pytest.approx([-0.577349] * 2, abs=1e-6)


@pytest.mark.parametrize("stop", [StopReason.TRUNCATED, StopReason.MAX_TURNS])
def test_running_out_of_turns_is_an_ordinary_failure(stop):
    found = group_of(episode([1.0]), episode([0.0], stop=stop))
    [[_, second]] = algorithm(Dapo).advantages([found])
    assert second == pytest.approx([-0.707106], abs=1e-6)


def test_the_ratio_may_rise_farther_than_it_may_fall():
    # A = 1: ratio 1.25 is below 1.28 and passes with -1.25/4, 1.3 does not. A = -1: 0.85 passes with +0.85/4, 0.75 not.
    found = batch(row([1.0, 1.0, -1.0, -1.0]))
    log_ratios = [[math.log(value) for value in (1.25, 1.3, 0.85, 0.75)]]
    slopes = gradient(algorithm(Dapo), found, policy(found, log_ratios))
    assert slopes.tolist()[0] == pytest.approx([-1.25 / 4, 0.0, 0.85 / 4, 0.0])


def test_every_token_of_the_batch_weighs_the_same():
    # 4 sampled tokens in all: -1/4 each.
    found = batch(row([1.0], episode=0), row([1.0, None, 1.0, 1.0], episode=1))
    slopes = gradient(algorithm(Dapo), found, policy(found, []))
    assert slopes[found.mask_BL].tolist() == [-0.25] * 4
