"""Rated turns as rows to learn from: MetaClaw's advantage (arXiv 2603.17187), over the batch and not over a group.

    A_t = (r_t - mean(r)) / (std(r) + 1e-8)     over the rated turns of the batch

Rule: a turn without a reward stands in the rows as something that was read: it has no gradient and counts in no mean.
Ours: the standard deviation is the population's; a row has one temperature, so a session that was asked at several is
read once for each.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from agents.types import Episode
from trainers.batch import Row
from trainers.segments import Segment, segments

__all__ = ["advantages", "rated_rows"]

Rewards = Sequence[float | None]
"""(T,) of an episode; None: the turn was not rated, or cannot train."""


def advantages(rewards: Sequence[Rewards]) -> list[list[float | None]]:
    """[G][T] advantages of the rated turns, None where there is no reward."""
    rated = [reward for episode in rewards for reward in episode if reward is not None]
    if not rated:
        return [[None] * len(episode) for episode in rewards]
    mean, std = statistics.fmean(rated), statistics.pstdev(rated)
    return [[None if reward is None else (reward - mean) / (std + 1e-8) for reward in episode] for episode in rewards]


def rated_rows(episodes: Sequence[Episode], found: Sequence[Rewards]) -> list[Row]:
    """The rows of these episodes; `found` are their advantages."""
    rows: list[Row] = []
    for index, (episode, values) in enumerate(zip(episodes, found, strict=True)):
        heat = [turn.move.sample.temperature for turn in episode.turns]
        rated = [turn for turn, value in enumerate(values) if value is not None]
        for segment in segments(episode, [value or 0.0 for value in values]):
            here = [turn for turn in rated if turn in segment.turns]
            for temperature in sorted({heat[turn] for turn in here}):
                kept = {turn for turn in here if heat[turn] == temperature}
                rows.append(Row(_only(segment, kept), index, index, sum(episode.rewards), temperature))
    return rows


def _only(segment: Segment, turns: set[int]) -> Segment:
    """The segment up to the last of these turns, the ids of all others as read."""
    keep = [turn in turns for turn in segment.turns]
    size = max(index for index, kept in enumerate(keep) if kept) + 1
    keep = keep[:size]
    return Segment(
        ids=segment.ids[:size],
        mask=keep,
        logprobs=[value if kept else 0.0 for value, kept in zip(segment.logprobs, keep, strict=False)],
        advantages=[value if kept else 0.0 for value, kept in zip(segment.advantages, keep, strict=False)],
        turns=[value if kept else -1 for value, kept in zip(segment.turns, keep, strict=False)],
    )
