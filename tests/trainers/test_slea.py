"""SLEA-RL's credit, on numbers worked out by hand."""

import pytest
from by_hand import algorithm, batch, gradient, policy, row
from tagged import TASK, told

from trainers.algorithms.base import Group
from trainers.algorithms.slea import Slea, alike_texts, clusters

NEAR = "You are in the kitchen. The fridge 1 is closed and the sink is empty."
ALSO = "You are in the kitchen. The fridge 2 is closed and the sink is empty."
FAR = "A dark cave; bats."

# Both begin in a kitchen that differs by a number. The first wins by the cave, the second does not by the yard.
WON = told(("", "go", FAR), ("", "on", "end"), opening=NEAR, rewards=[0.0, 1.0], success=True)
LOST = told(("", "go", "A sunny yard with a goat."), ("", "on", "end"), opening=ALSO, rewards=[0.0, 0.0])
GROUP = Group(TASK, [WON, LOST], [WON.rewards, LOST.rewards])


def advantages(*groups: Group, **settings):
    return algorithm(Slea, **settings).advantages(groups or [GROUP])


def test_turns_of_a_cluster_are_compared_beside_their_episodes():
    # Episodes: +-0.5. Returns to come in the kitchens with gamma 0.95: 0.95 and 0, mean 0.475; the others are alone.
    assert advantages() == [[pytest.approx([0.975, 0.5]), pytest.approx([-0.975, -0.5])]]


def test_over_the_spread_each_of_a_pair_scores_the_same():
    # Sample spread of two values is their distance over sqrt(2): +-0.70711 in both parts.
    [found] = advantages(norm="mean_std_norm")
    assert found == [pytest.approx([1.41421, 0.70711], abs=1e-4), pytest.approx([-1.41421, -0.70711], abs=1e-4)]


def test_the_step_part_has_a_weight():
    assert advantages(step_weight=2.0)[0][0] == pytest.approx([1.45, 0.5])


def test_the_code_compares_the_identical_observation_and_counts_an_episode_once_a_turn():
    # The kitchens differ, so no turn has another to be compared with.
    assert advantages(reading="code") == [[[0.5, 0.5], [-0.5, -0.5]]]
    short = told(("", "on", "end"), opening="elsewhere")
    group = Group(TASK, [WON, short], [WON.rewards, short.rewards])
    # Returns a turn 1, 1, 0: mean 2/3.
    [found] = advantages(group, reading="code")
    assert found == [pytest.approx([1 / 3, 1 / 3]), pytest.approx([-2 / 3])]
    assert advantages(group, reading="code", episode_over="episodes") == [[[0.5, 0.5], [-0.5]]]


def test_the_code_can_compare_what_difflib_finds_alike():
    assert advantages(reading="code", credit="similar") == [
        [pytest.approx([0.975, 0.5]), pytest.approx([-0.975, -0.5])]
    ]
    assert advantages(credit="similar", similarity=1.0) == [[[0.5, 0.5], [-0.5, -0.5]]]


def test_over_the_batch_turns_of_other_tasks_are_compared_too():
    # Each task has one episode, so no episode part; the kitchens stand in two tasks.
    groups = [Group(TASK, [one], [one.rewards]) for one in (WON, LOST)]
    assert advantages(*groups) == [[[0.0, 0.0]], [[0.0, 0.0]]]
    assert advantages(*groups, over="batch") == [[pytest.approx([0.475, 0.0])], [pytest.approx([-0.475, 0.0])]]
    assert advantages(over="batch") == advantages(over="task")
    assert algorithm(Slea, over="batch").advantages([]) == []


def test_a_cluster_is_the_nearest_representative_at_or_above_delta():
    assert clusters([NEAR, FAR, ALSO], 0.85) == [0, 1, 0]
    assert clusters([NEAR, FAR, NEAR + " Bats."], 1.0) == [0, 1, 2]
    assert clusters([], 0.85) == []


def test_alike_by_difflib_is_twice_what_matches_over_both_lengths():
    # "abcd" and "abce" match in three of four: 2 * 3 / 8 = 0.75.
    assert alike_texts(["abcd", "abce", "xyz"], 0.75) == [0, 0, 1]
    assert alike_texts(["abcd", "abce"], 0.76) == [0, 1]
    assert alike_texts(["a" * 500 + "b", "a" * 500 + "c"], 1.0) == [0, 0]


def test_the_loss_is_a_mean_over_episodes_of_their_means():
    found = batch(row([2.0, None, -1.0]), row([4.0], episode=1))
    slopes = gradient(algorithm(Slea, kl=0.0), found, policy(found, []))
    assert slopes.tolist() == [[-0.5, 0.0, 0.25], [-2.0, 0.0, 0.0]]
