"""SUPO: Scaling LLM Multi-turn RL with End-to-end Summarization-based Context Management (arXiv 2510.06727).

    A_i  = (R_i - mean(R_1..R_G)) / (std(R_1..R_G) + 1e-6)    eq. 3: over episodes, the same on each of their segments
    loss = -1 / (sum_i |y_i|) sum_i sum_t min(r_t A_i, clip(r_t, 1 - 0.20, 1 + 0.28) A_i)                        eq. 2

y_i is all that was sampled in episode i, summaries included; the context is `summary`.
The paper's: the formulas; no KL, no entropy bonus; a step's overlong episodes, those that a limit stopped before their
answer, have no gradient (`overlong_mask`); and what it rejects: `statistics = "segments"`, its eq. 4, counts an
episode's return once for each of its segments in mean and std.
Ours: a limit is that of summaries, of turns (the player's or the world's) or of tokens. A masked episode stays in its
group's statistics and its tokens in the divisor; so does its number of segments under eq. 4. A turn that was dropped
for a summary has advantage 0, and no segment has it. The standard deviation is of a sample (n - 1).
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate
from typing import ClassVar, Literal

from pydantic import Field

from agents.types import Episode, StopReason
from trainers.algorithms.base import Algorithm, AlgorithmConfig, Group
from trainers.compaction import summaries

__all__ = ["Supo"]

OVERLONG = frozenset({StopReason.MAX_SUMMARIES, StopReason.MAX_TURNS, StopReason.TRUNCATED, StopReason.MAX_TOKENS})


class SupoConfig(AlgorithmConfig):
    """SUPO's settings."""

    name: str = "supo"
    """The algorithm's registry name."""
    clip_high: float = Field(0.28, ge=0)
    """The importance ratio is clipped above 1 + clip_high."""
    statistics: Literal["episodes", "segments"] = "episodes"
    """Whether a group's mean and std count each episode once, or once for each stretch between its summaries."""
    overlong_mask: bool = True
    """Whether an episode that a limit stopped before its answer is left without gradient."""


class Supo(Algorithm):
    """One advantage an episode, on its summaries too."""

    Config: ClassVar[type[AlgorithmConfig]] = SupoConfig
    config: SupoConfig

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: an episode's score, and 0 on what is masked or was dropped."""
        return [
            [self._turns(episode, score) for episode, score in zip(group.episodes, self._scores(group), strict=True)]
            for group in groups
        ]

    def _scores(self, group: Group) -> list[float]:
        """[G]"""
        by_segment = self.config.statistics == "segments"
        counts = [1 + summaries(episode) if by_segment else 1 for episode in group.episodes]
        scores = self.scores([ret for ret, n in zip(group.returns, counts, strict=True) for _ in range(n)])
        return [scores[start] for start in list(accumulate(counts, initial=0))[:-1]]

    def _turns(self, episode: Episode, score: float) -> list[float]:
        """(T,)"""
        if self.config.overlong_mask and episode.stop in OVERLONG:
            return [0.0] * len(episode.turns)
        dropped = [turn.prompt.drops_last for turn in episode.turns[1:]] + [False]
        return [0.0 if out else score for out in dropped[: len(episode.turns)]]
