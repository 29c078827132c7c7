"""What a turn's reasoning earns, in both readings."""

import pytest
from tagged import told

from agents.types import Prompt, Turn
from trainers.shapers.rlvmr import Rlvmr


def earned(episode, **settings):
    found = Rlvmr(Rlvmr.Config(**settings)).shape(episode, episode.rewards)
    return [pytest.approx(shaped - raw) for shaped, raw in zip(found, episode.rewards, strict=True)]


BOTH = pytest.mark.parametrize("reading", ["paper", "code"])


@BOTH
@pytest.mark.parametrize("success", [True, False])
def test_a_plan_earns_its_reward_iff_the_episode_succeeds(reading, success):
    episode = told(("planning", "go", "."), ("planning", "go", "."), success=success)
    assert earned(episode, reading=reading, planning=0.5) == [0.5 * success] * 2


@BOTH
def test_monitoring_earns_nothing(reading):
    assert earned(told(("monitor", "go to shelf 1", "."), success=True), reading=reading) == [0.0]


@BOTH
def test_an_answer_without_the_format_pays(reading):
    assert earned(told(("", "", ""), ("monitor", "go", ".")), reading=reading) == [-0.1, 0.0]


@BOTH
def test_rewards_of_the_world_are_kept(reading):
    episode = told(("planning", "a", "."), ("monitor", "b", "."), rewards=[0.25, 0.75], success=True)
    assert Rlvmr(Rlvmr.Config(reading=reading)).shape(episode, episode.rewards) == [1.25, 0.75]


def test_in_the_paper_exploring_is_naming_what_was_not_named_before():
    episode = told(
        ("explore", "go to shelf 1", "A shelf."),
        ("explore", "open shelf 1", "Open."),  # another action on the same thing
        ("monitor", "take cup 1 from shelf 1", "Taken."),  # names the cup
        ("explore", "put cup 1 in shelf 1", "Done."),
        ("explore", "put cup 1 in box 2", "Done."),
        ("explore", "look", "."),  # names nothing
    )
    assert earned(episode) == [1.0, 0.0, 0.0, 0.0, 1.0, 0.0]


def test_in_the_code_exploring_is_saying_what_was_not_said_before():
    episode = told(
        ("explore", "go to shelf 1", "A shelf."),
        ("explore", "Go to  shelf 1", "A shelf."),
        ("explore", "open shelf 1", "Open."),
        ("explore", "sing", "Nothing happens."),  # new, though refused
        ("explore", "sing", "Nothing happens."),  # and still new: a refused action does not count as used
    )
    assert earned(episode, reading="code") == [1.0, 0.0, 1.0, 1.0, 1.0]


def test_in_the_paper_what_the_world_refuses_explores_nothing():
    episode = told(("explore", "go to moon", "Nothing happens."), ("explore", "go to moon", "A moon."))
    assert earned(episode) == [0.0, 1.0]


def test_by_the_compass_a_place_is_new_where_it_was_never_shown():
    episode = told(
        ("explore", "go east", "A room."),
        ("explore", "go east", "A yard."),
        ("explore", "go west", "A room."),
        ("explore", "go west", "A hall."),  # where it began
    )
    assert earned(episode) == [1.0, 1.0, 0.0, 0.0]


def test_in_the_paper_a_reflection_must_be_accepted_and_change_the_action():
    refused = "Nothing happens."
    episode = told(
        ("reflection", "go to shelf 1", "A shelf."),  # no failure before it
        ("monitor", "take cup", refused),
        ("reflection", "take cup", refused),  # the same again
        ("reflection", "take mug", refused),  # refused as well
        ("reflection", "take cup 1", "Taken."),
    )
    assert earned(episode) == [0.0, 0.0, 0.0, 0.0, 1.0]


def test_in_the_code_a_reflection_must_only_change_the_action():
    refused = "Nothing happens."
    episode = told(
        ("reflection", "go to shelf 1", "A shelf."),  # the step before the first counts as a failure
        ("reflection", "take cup", refused),  # none before it
        ("reflection", "take cup", refused),
        ("reflection", "take mug", refused),
    )
    assert earned(episode, reading="code") == [1.0, 0.0, 0.0, 1.0]


def test_an_answer_that_could_not_be_read_is_a_failure():
    episode = told(("", "", ""), ("reflection", "go", "."))
    assert earned(episode) == [-0.1, 1.0]
    assert earned(episode, reading="code") == [-0.1, 1.0]


def test_how_many_failures_make_a_sequence_can_be_told():
    refused = "Nothing happens."
    episode = told(
        ("monitor", "a", refused),
        ("reflection", "b", "."),
        ("", "", ""),
        ("monitor", "c", refused),
        ("reflection", "d", "."),
    )
    assert earned(episode, failures=2) == [0.0, 0.0, -0.1, 0.0, 1.0]


def test_shown_commands_decide_what_was_accepted():
    episode = told(("monitor", "go up", "A hall."), ("reflection", "go east", "A room."), choices=[["go east"]] * 2)
    assert earned(episode) == [0.0, 1.0]


def test_a_world_with_other_words_of_refusal_can_be_told():
    episode = told(("monitor", "take cup", "Huh?"), ("reflection", "take cup 1", "Taken."))
    assert earned(episode) == [0.0, 0.0]
    assert earned(episode, refusals=["Huh"]) == [0.0, 1.0]


def test_a_summary_has_no_format_to_keep():
    episode = told(("", "", ""), ("monitor", "go", "."))
    first = episode.turns[0]
    episode.turns[0] = Turn(Prompt([], kind="summary"), first.move, first.reply, None)
    assert earned(episode) == [0.0, 0.0]
