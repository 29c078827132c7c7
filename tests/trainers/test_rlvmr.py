"""RLVMR's advantages in both readings, on numbers worked out by hand."""

import pytest
from by_hand import algorithm
from tagged import TASK, told

from trainers.algorithms.base import Group
from trainers.algorithms.rlvmr import Rlvmr, meta_rewards

WON = told(("planning", "a", "."), ("explore", "b", "."), ("monitor", "c", "."), rewards=[0.0, 0.0, 1.0], success=True)
LOST = told(("planning", "a", "."), ("explore", "b", "."), ("", "", ""))
GROUP = Group(TASK, [WON, LOST], [[1.0, 1.0, 1.0], [0.0, 0.0, -0.1]])
"""Shaped: the plan of the won episode earned 1 and its exploration 1; the lost one broke the format once."""


def near(*rows):
    return [pytest.approx(row, abs=1e-4) for row in rows]


def test_what_the_shapers_added_is_told_from_the_raw_reward():
    assert meta_rewards(GROUP) == near([1.0, 1.0, 0.0], [0.0, 0.0, -0.1])


def test_in_the_paper_half_is_the_trajectorys_and_half_the_tags():
    # Trajectories: 1 and 0 score +-0.70711. planning 1, 0 and explore 1, 0 score +-0.70711; the one monitor 0. The
    # turn without a tag among all: mean of 1, 1, 0, 0, 0, -0.1 is 0.31667, spread 0.53072: -0.78509.
    [found] = algorithm(Rlvmr).advantages([GROUP])
    assert found == near([0.70711, 0.70711, 0.35355], [-0.70711, -0.70711, -0.35355 - 0.39255])


def test_alpha_0_leaves_the_trajectory_out_and_alpha_1_the_tags():
    [found] = algorithm(Rlvmr, alpha=0.0).advantages([GROUP])
    assert found == near([0.70711, 0.70711, 0.0], [-0.70711, -0.70711, -0.78509])
    [found] = algorithm(Rlvmr, alpha=1.0).advantages([GROUP])
    assert found == near([0.70711] * 3, [-0.70711] * 3)


def lone(tag, reward, *, outcome=0.0):
    episode = told((tag, "a", "."), rewards=[outcome])
    return Group(TASK, [episode], [[outcome + reward]])


def test_in_the_paper_tags_and_trajectories_are_compared_over_the_batch():
    # planning 1, 0, 0: mean 1/3, spread 0.57735, scores 1.15470, -0.57735, -0.57735; outcomes 1, 1, 0: mean 2/3,
    # scores 0.57735, 0.57735, -1.15470.
    groups = [lone("planning", 1.0, outcome=1.0), lone("planning", 0.0, outcome=1.0), lone("planning", 0.0)]
    [[[first]]], [[[second]]], [[[third]]] = ([found] for found in algorithm(Rlvmr).advantages(groups))
    assert [first, second, third] == near([(0.57735 + 1.1547) / 2, 0.0, (-1.1547 - 0.57735) / 2])[0]


def test_the_trajectory_can_be_compared_within_its_task():
    found = algorithm(Rlvmr, alpha=1.0, trajectory="group").advantages([lone("", 0.0, outcome=1.0), GROUP])
    assert found[0] == [[0.0]]
    assert found[1] == near([0.70711] * 3, [-0.70711] * 3)


def test_in_the_code_turns_of_a_task_are_compared_and_the_two_parts_added():
    # Returns a turn, success 10: 10, 10, 10 and 0, 0, -0.1 with mean 29.9/6 = 4.98333. planning and explore 1, 0 score
    # +-0.5; monitor and the broken turn are of one kind, 0 and 0.
    [found] = algorithm(Rlvmr, reading="code", norm="mean_norm").advantages([GROUP])
    assert found == near([5.51667, 5.51667, 5.01667], [-5.48333, -5.48333, -5.08333])


def test_in_the_code_both_parts_are_put_over_their_spread():
    # Spread of the six returns: squares 3 * 5.01667^2 + 2 * 4.98333^2 + 5.08333^2 = 151.00833 over 5, root 5.49561.
    [found] = algorithm(Rlvmr, reading="code").advantages([GROUP])
    one, other, broken = 5.01667 / 5.49561, 4.98333 / 5.49561, 5.08333 / 5.49561
    step = 0.70711
    assert found == near([one + step, one + step, one], [-other - step, -other - step, -broken])


@pytest.mark.parametrize("norm", ["mean_norm", "mean_std_norm"])
def test_in_the_code_a_lone_step_has_its_reward(norm):
    [[[found]]] = algorithm(Rlvmr, reading="code", norm=norm).advantages([lone("reflection", 1.0)])
    assert found == 1.0


def test_in_the_paper_a_lone_step_has_nothing():
    [[[found]]] = algorithm(Rlvmr).advantages([lone("reflection", 1.0)])
    assert found == 0.0


def test_in_the_code_tags_of_other_tasks_are_not_compared():
    # Each is alone in its task, whatever the other earned.
    groups = [lone("explore", 1.0), lone("explore", 0.0)]
    assert algorithm(Rlvmr, reading="code").advantages(groups) == [[[1.0]], [[0.0]]]


def test_in_the_code_each_part_can_be_left_out():
    [found] = algorithm(Rlvmr, reading="code", norm="mean_norm", step_weight=0.0).advantages([GROUP])
    assert found == near([5.01667] * 3, [-4.98333, -4.98333, -5.08333])
    [found] = algorithm(Rlvmr, reading="code", norm="mean_norm", episode_weight=0.0).advantages([GROUP])
    assert found == near([0.5, 0.5, 0.0], [-0.5, -0.5, 0.0])


@pytest.mark.parametrize("reading", ["paper", "code"])
def test_a_batch_in_which_nothing_differs_has_no_advantage(reading):
    group = Group(TASK, [LOST, LOST], [LOST.rewards, LOST.rewards])
    assert algorithm(Rlvmr, reading=reading).advantages([group, group]) == [[[0.0] * 3] * 2] * 2
    assert algorithm(Rlvmr, reading=reading).advantages([]) == []
