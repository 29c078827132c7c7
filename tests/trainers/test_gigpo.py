"""GiGPO's two levels, on numbers worked out by hand."""

import pytest
from by_hand import algorithm, batch, gradient, policy, row
from tagged import TASK, told

from trainers.algorithms.base import Group
from trainers.algorithms.gigpo import Gigpo, discounted, normed

# Both begin in A; the first goes by B and wins, the second by C and does not.
WON = told(("", "go", "B"), ("", "on", "end"), opening="A", rewards=[0.0, 1.0], success=True)
LOST = told(("", "go", "C"), ("", "on", "end"), opening="A", rewards=[0.0, 0.0])
GROUP = Group(TASK, [WON, LOST], [WON.rewards, LOST.rewards])


def advantages(**settings):
    [found] = algorithm(Gigpo, **settings).advantages([GROUP])
    return found


def test_the_step_return_is_discounted_a_turn():
    assert discounted([1.0, 0.0, 2.0], 0.5) == [1.5, 1.0, 2.0]
    assert discounted([], 0.95) == []


def test_turns_that_saw_the_same_are_compared_beside_their_episodes():
    # Episodes: 1 and 0, mean 1/2: +-0.5. Returns to come with gamma 0.5: [0.5, 1] and [0, 0]; A holds 0.5 and 0,
    # mean 0.25: +-0.25; B and C were seen once: 0.
    found = advantages(norm="mean_norm", gamma=0.5)
    assert found == [pytest.approx([0.75, 0.5]), pytest.approx([-0.75, -0.5])]


def test_both_levels_are_put_over_their_own_spread():
    # Sample spread of two values is their distance over sqrt(2), so each of a pair scores +-1/sqrt(2) = 0.70711.
    found = advantages(gamma=0.5)
    assert found == [pytest.approx([1.41421, 0.70711], abs=1e-4), pytest.approx([-1.41421, -0.70711], abs=1e-4)]


def test_the_default_discount_is_the_papers():
    # Returns to come in A: 0.95 and 0, mean 0.475.
    assert advantages(norm="mean_norm")[0] == pytest.approx([0.5 + 0.475, 0.5])


def test_the_step_part_has_a_weight():
    assert advantages(norm="mean_norm", gamma=0.5, step_weight=2.0)[0] == pytest.approx([1.0, 0.5])
    assert advantages(norm="mean_norm", step_weight=0.0) == [[0.5, 0.5], [-0.5, -0.5]]


def test_a_lone_observation_has_no_step_advantage_or_its_return_as_it_is():
    # B to come: 1; C to come: 0.
    found = advantages(norm="mean_norm", gamma=0.5, lone="raw")
    assert found == [pytest.approx([0.75, 1.5]), pytest.approx([-0.75, -0.5])]


def test_over_turns_a_long_episode_counts_more():
    # Returns a turn: 1, 1, 1 and 0, mean 3/4.
    long = told(("", "a", "x"), ("", "b", "y"), ("", "c", "z"), rewards=[0.0, 0.0, 1.0])
    short = told(("", "d", "w"))
    group = Group(TASK, [long, short], [long.rewards, short.rewards])
    [found] = algorithm(Gigpo, norm="mean_norm", episode_over="turns", step_weight=0.0).advantages([group])
    assert found == [[0.25, 0.25, 0.25], [-0.75]]


def test_an_observation_is_its_text_and_its_commands():
    # The same words over other commands are another state: nothing but the opening is shared.
    one = told(("", "go", "."), ("", "on", "end"), choices=[["go"], ["on", "back"]], rewards=[0.0, 1.0])
    other = told(("", "go", "."), ("", "on", "end"), choices=[["go"], ["on"]])
    group = Group(TASK, [one, other], [one.rewards, other.rewards])
    [found] = algorithm(Gigpo, norm="mean_norm", gamma=0.5).advantages([group])
    assert found == [pytest.approx([0.75, 0.5]), pytest.approx([-0.75, -0.5])]


def test_an_observation_seen_twice_in_one_episode_is_one_group():
    # One episode, so no episode part. B is seen at turns 1 and 2 with 0.5 and 1 to come, mean 0.75.
    lone = told(("", "go", "B"), ("", "wait", "B"), ("", "on", "end"), opening="A", rewards=[0.0, 0.0, 1.0])
    [[found]] = algorithm(Gigpo, norm="mean_norm", gamma=0.5).advantages([Group(TASK, [lone], [lone.rewards])])
    assert found == pytest.approx([0.0, -0.25, 0.25])


def test_groups_of_other_tasks_are_not_compared():
    found = algorithm(Gigpo, norm="mean_norm", gamma=0.5).advantages([GROUP, GROUP])
    assert found[0] == found[1]


@pytest.mark.parametrize(
    ("values", "lone", "scores"),
    [([], "zero", []), ([3.0], "zero", [0.0]), ([3.0], "raw", [3.0]), ([2.0, 2.0], "raw", [0.0, 0.0])],
)
def test_what_has_nothing_to_be_compared_with_scores_nothing(values, lone, scores):
    assert normed(values, "mean_std_norm", lone) == scores


def test_the_loss_is_the_clipped_one_over_all_tokens():
    found = batch(row([2.0, None, -1.0]))
    slopes = gradient(algorithm(Gigpo, kl=0.0), found, policy(found, []))
    assert slopes.tolist() == [[-1.0, 0.0, 0.5]]
