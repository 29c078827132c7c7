"""SUPO's formulas on numbers worked out by hand, what it leaves without gradient, and more summaries at test time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runs
from by_hand import algorithm, episode, group_of
from tiny import spoken, tiny_model
from transformers import AutoTokenizer

from agents.chat import Chat
from agents.contexts.full import Full
from agents.formats.plain import Plain
from agents.policies.random import Random
from agents.rollout import play
from agents.types import Episode, Prompt, StopReason
from envserver.client import Gym
from envserver.schema import Task
from trainers.algorithms.base import Group
from trainers.algorithms.supo import Supo
from trainers.compaction import compaction
from trainers.display import Display
from trainers.examine import examine
from trainers.loop import train
from trainers.plugged import BadConfig
from trainers.segments import segments
from trainers.sft import lessons
from trainers.tasks import fetch_keys

ASKED = Prompt([], "summary", drops_last=True)


def summed_up(found: Episode, *summaries: int) -> Episode:
    """The episode with summaries in these turns."""
    turns = [replace(turn, prompt=ASKED) if index in summaries else turn for index, turn in enumerate(found.turns)]
    return replace(found, turns=turns)


def pair(stop: StopReason = StopReason.DONE) -> Group:
    """Return 1 in one segment; return 0 in three: act, act dropped, summary, act, act dropped, summary, act."""
    return group_of(episode([0.0, 1.0]), summed_up(episode([0.0] * 7, stop=stop), 2, 5))


def test_the_statistics_run_over_episodes_whatever_their_summaries() -> None:
    # 1, 0: mean 0.5, sample std 0.707107.
    [[first, second]] = algorithm(Supo).advantages([pair()])
    assert first == pytest.approx([0.707106] * 2, abs=1e-6)
    assert second == pytest.approx([-0.707106, 0, -0.707106, -0.707106, 0, -0.707106, -0.707106], abs=1e-6)


def test_the_rejected_statistics_count_a_return_once_a_segment() -> None:
    # 1, 0, 0, 0: mean 0.25, sample std sqrt((0.5625 + 3 * 0.0625) / 3) = 0.5: 1.5 and -0.5.
    [[first, second]] = algorithm(Supo, statistics="segments").advantages([pair()])
    assert first == pytest.approx([1.499997] * 2, abs=1e-6)
    assert second == pytest.approx([-0.499999, 0, -0.499999, -0.499999, 0, -0.499999, -0.499999], abs=1e-6)


def test_both_statistics_agree_where_no_episode_was_summed_up() -> None:
    found = [group_of(episode([1.0]), episode([0.0, 0.0]), episode([0.5]))]
    assert algorithm(Supo).advantages(found) == algorithm(Supo, statistics="segments").advantages(found)


@pytest.mark.parametrize("stop", ["max_summaries", "max_turns", "truncated", "max_tokens"])
def test_an_episode_that_a_limit_stopped_counts_in_the_group_and_has_no_gradient(stop: str) -> None:
    [[first, second]] = algorithm(Supo).advantages([pair(StopReason(stop))])
    assert first == pytest.approx([0.707106] * 2, abs=1e-6)
    assert second == [0.0] * 7
    [[_, second]] = algorithm(Supo, overlong_mask=False).advantages([pair(StopReason(stop))])
    assert second == pytest.approx([-0.707106, 0, -0.707106, -0.707106, 0, -0.707106, -0.707106], abs=1e-6)


@pytest.mark.parametrize("stop", ["done", "resigned"])
def test_an_episode_that_ended_by_itself_is_not_masked(stop: str) -> None:
    [[_, second]] = algorithm(Supo).advantages([pair(StopReason(stop))])
    assert any(second)


def test_the_clip_and_the_weights_of_tokens_are_the_papers() -> None:
    config = algorithm(Supo).config
    assert (config.clip_low, config.clip_high, config.kl, config.entropy, config.aggregate) == (
        0.2,
        0.28,
        0,
        0,
        "token",
    )


def test_a_dropped_turn_is_in_no_segment_and_its_summary_goes_on_from_the_turn_before() -> None:
    # Ids 1 to 9 are read, 10 and up sampled: turn 1 is dropped, turn 2 sums up, turn 3 begins again.
    made = summed_up(spoken([([1], [10]), ([1, 10, 2], [11]), ([1, 10, 2, 3], [12]), ([1, 4], [13])]), 2)
    first, second = segments(made, [1.0, 0.0, 3.0, 4.0])
    assert (first.ids, first.turns) == ([1, 10, 2, 3, 12], [-1, 0, -1, -1, 2])
    assert (first.mask, first.advantages) == ([False, True, False, False, True], [0, 1.0, 0, 0, 3.0])
    assert (second.ids, second.turns) == ([1, 4, 13], [-1, -1, 3])


def test_a_segment_of_nothing_but_a_dropped_turn_is_none() -> None:
    made = summed_up(spoken([([1], [10]), ([1, 3], [11]), ([1, 4], [12])]), 1)
    assert [segment.ids for segment in segments(made, [0.0, 1.0, 1.0])] == [[1, 3, 11], [1, 4, 12]]
    silent = summed_up(spoken([([1], [10]), ([1, 10, 2], []), ([1, 10, 2, 5], [11]), ([1, 10, 2, 6], [12])]), 3)
    assert [segment.ids for segment in segments(silent, [1.0] * 4)] == [[1, 10, 2, 6, 12]]


def test_stretches_are_counted_by_hand() -> None:
    made = summed_up(spoken([([1], [10]), ([1, 10, 2], [11]), ([1, 10, 2, 3], [12]), ([1, 4], [13])]), 2)
    plain = spoken([([1], [10])])
    found = compaction([made, plain])
    # Stretches of 5 and 3 tokens; one of 2.
    assert found == {
        "summary/episode_share": 0.5,
        "summary/count": 0.5,
        "summary/success": 0.0,
        "summary/working_tokens": 3.5,
        "summary/effective_tokens": 5.0,
    }
    assert compaction([plain]) == {"summary/episode_share": 0.0}
    assert compaction([]) == {}


def test_a_demonstrations_summaries_are_imitated_and_what_was_dropped_is_in_a_row_of_its_own() -> None:
    made = summed_up(spoken([([1], [10]), ([1, 10, 2], [11]), ([1, 10, 2, 3], [12]), ([1, 4], [13])]), 2)
    turns = [replace(turn, result=None) if turn.prompt.kind == "summary" else turn for turn in made.turns]
    rows = lessons(0, replace(made, turns=turns))
    assert [[id for id, said in zip(row.segment.ids, row.segment.mask, strict=True) if said] for row in rows] == [
        [10, 12],
        [13],
        [11],
    ]
    assert rows[2].segment.ids == [1, 10, 2, 11]


async def longest_opening(url: str, splits: Sequence[str]) -> int:
    """Tokens of the longest first prompt among the first eight tasks of each split."""
    chat = Chat(AutoTokenizer.from_pretrained(tiny_model()))
    lengths = []
    async with Gym(url) as gym:
        for split in splits:
            for key in await fetch_keys(gym, "keydoor", split, limit=8, options={}):
                task = Task(env="keydoor", key=key)
                policy = Random(format=Plain())
                episode = await play(task, gym, policy, policy.format, Full(format=policy.format), max_turns=1)
                lengths.append(len(chat.prompt_ids(episode.turns[0].prompt, None)))
    return max(lengths)


async def test_a_policy_is_evaluated_with_more_summaries_than_it_learned_with(gym_url: str, tmp_path: Path) -> None:
    # A context that is full after one act, or after two where the opening is short.
    working = await longest_opening(gym_url, ["train", "valid"]) + 1
    config = runs.config(
        tmp_path,
        gym_url,
        f"context={{name='summary', working_tokens={working}, threshold=1.0, summaries=1, instruction='Sum up.'}}",
        "context.stage='So far: {summary}'",
        "steps=1",
        "eval.every=0",
        "algorithm={name='supo', overlong_mask=false, entropy=0.01}",
        "env.options={max_steps=40}",
        "env.tasks=8",
        "player.max_turns=12",
    )
    run = await train(config)
    [row] = [row for row in runs.rows(run) if "rows/count" in row]
    assert row["summary/episode_share"] == row["summary/count"] == row["episode/stop/max_summaries"] == 1.0

    async def stops(**context: Any) -> set[StopReason]:
        ((_, found),) = await examine(
            [run.directory],
            split=None,
            url=gym_url,
            options={},
            context=context,
            settings={"tasks": 2},
            display=Display(quiet=True),
        )
        return {episode.stop for group in found.episodes.values() for episode in group}

    assert await stops(summaries=0) == await stops() == {StopReason.MAX_SUMMARIES}
    assert await stops(summaries=12) == {StopReason.MAX_TURNS}
    with pytest.raises(BadConfig, match=r"no setting 'context\.summarys'; did you mean 'context\.summaries'"):
        await stops(summarys=3)
    with pytest.raises(BadConfig, match=r"context\.summaries = -1 is refused"):
        await stops(summaries=-1)
