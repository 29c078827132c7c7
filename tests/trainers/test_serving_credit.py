"""Rated turns become rows: MetaClaw's advantage on numbers worked out by hand."""

from __future__ import annotations

from dataclasses import replace

import pytest
from by_hand import TASK

from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action
from trainers.serving.credit import advantages, rated_rows
from trainers.serving.judge import _vote, majority


def talk(*temperatures: float) -> Episode:
    """Turns of two prompt ids and two sampled ids, each prompt continuing the turn before."""
    turns: list[Turn] = []
    ids: list[int] = []
    for index, temperature in enumerate(temperatures):
        prompt = [*ids, 10 * index + 1, 10 * index + 2]
        drawn = [10 * index + 3, 10 * index + 4]
        sample = Sample(drawn, [-0.5, -0.25], "stop", temperature, 0)
        turns.append(Turn(Prompt([]), Move(prompt, sample, "."), Reply(Action(text=".")), None))
        ids = [*prompt, *drawn]
    return Episode(TASK, turns, StopReason.DONE)


def test_the_advantage_is_over_all_rated_turns_of_the_batch() -> None:
    # mean 1/4; deviations 3/4, -5/4, 3/4, -1/4: variance (9 + 25 + 9 + 1) / 64 = 11/16
    std = (11 / 16) ** 0.5
    found = advantages([[1.0, None, -1.0], [1.0, 0.0]])
    assert found[0][1] is None
    assert [found[0][0], found[0][2], *found[1]] == pytest.approx([0.75 / std, -1.25 / std, 0.75 / std, -0.25 / std])


def test_equal_rewards_teach_nothing_and_no_reward_is_no_zero() -> None:
    assert advantages([[1.0], [1.0, None]]) == [[0.0], [0.0, None]]
    assert advantages([[None, None]]) == [[None, None]]


def test_an_unrated_turn_is_read_and_counts_nowhere() -> None:
    (row,) = rated_rows([talk(1.0, 1.0, 1.0)], [[0.5, None, -2.0]])
    segment = row.segment
    assert segment.ids == [1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24]
    assert segment.mask == [False, False, True, True] + 6 * [False] + [True, True]
    assert segment.advantages == [0, 0, 0.5, 0.5] + 6 * [0] + [-2.0, -2.0]
    assert segment.logprobs == [0, 0, -0.5, -0.25] + 6 * [0] + [-0.5, -0.25]
    assert segment.turns == [-1, -1, 0, 0] + 6 * [-1] + [2, 2]


def test_what_follows_the_last_rated_turn_is_not_read() -> None:
    (row,) = rated_rows([talk(1.0, 1.0)], [[0.5, None]])
    assert row.segment.ids == [1, 2, 3, 4]


def test_a_session_asked_at_two_temperatures_is_read_once_for_each() -> None:
    rows = rated_rows([talk(1.0, 0.5, 1.0)], [[1.0, 2.0, 3.0]])
    assert [row.temperature for row in rows] == [0.5, 1.0]
    assert [set(row.segment.turns) for row in rows] == [{-1, 1}, {-1, 0, 2}]
    assert {row.episode for row in rows} == {0}


def test_a_prompt_that_does_not_continue_makes_a_row_of_its_own() -> None:
    episode = talk(1.0, 1.0)
    other = replace(episode.turns[1], move=replace(episode.turns[1].move, prompt_ids=[7, 8]))
    episode.turns[1] = other
    assert [row.segment.ids for row in rated_rows([episode], [[1.0, -1.0]])] == [[1, 2, 3, 4], [7, 8, 13, 14]]


@pytest.mark.parametrize(
    ("votes", "score"),
    [([1, 1, -1], 1), ([-1, -1, 0], -1), ([1, 0, -1], 0), ([0, 0, 1], 0), ([1, 1, 1], 1), ([-1], -1), ([1, -1], 0)],
)
def test_the_majority_of_the_votes_counts_and_a_tie_is_unclear(votes: list[int], score: int) -> None:
    assert majority(votes) == score


@pytest.mark.parametrize(
    ("said", "vote"),
    [
        ("It helped.\nScore: 1.", 1),
        ("**Score:** -1", -1),
        ("Score: 1, I thought. Score: −1", -1),
        ("Score: 0.5", 0),
        ("Score: 10", 0),
        ("It depends.", 0),
    ],
)
def test_a_vote_is_the_last_score_of_a_text_with_a_full_stop_or_without(said: str, vote: int) -> None:
    assert _vote(said) == vote
