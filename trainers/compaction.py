"""What summaries do to episodes: how many are summed up, how those end, and what the model had to hold at once.

SUPO (arXiv 2510.06727) watches the share of episodes with a summary and their success. The lengths are ours: a
*stretch* is what is read and said from one summary to the next, and an episode's effective context is the sum of its
stretches.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from agents.types import Episode
from trainers.algorithms.base import Metrics

__all__ = ["compaction", "stretches", "summaries"]


def compaction(episodes: Sequence[Episode]) -> Metrics:
    """Of valid episodes; the share alone where none was summed up, and {} where there are none."""
    counts = [summaries(episode) for episode in episodes]
    if not any(counts):
        return {"summary/episode_share": 0.0} if episodes else {}
    summed_up = [episode.success for episode, count in zip(episodes, counts, strict=True) if count]
    lengths = [stretches(episode) for episode in episodes]
    return {
        "summary/episode_share": len(summed_up) / len(episodes),
        "summary/count": statistics.fmean(counts),
        "summary/success": statistics.fmean(summed_up),
        "summary/working_tokens": statistics.fmean(max(row, default=0) for row in lengths),
        "summary/effective_tokens": statistics.fmean(map(sum, lengths)),
    }


def summaries(episode: Episode) -> int:
    """Turns in which the policy summed up."""
    return sum(turn.prompt.kind == "summary" for turn in episode.turns)


def stretches(episode: Episode) -> list[int]:
    """Tokens of each stretch at its end: the prompt and the answer of each summary, and of the last turn."""
    ends = [turn for turn in episode.turns[:-1] if turn.prompt.kind == "summary"] + episode.turns[-1:]
    return [len(turn.move.prompt_ids) + len(turn.move.sample.ids) for turn in ends]
