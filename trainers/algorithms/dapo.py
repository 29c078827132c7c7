"""DAPO: An Open-Source LLM Reinforcement Learning System at Scale (arXiv 2503.14476).

    A_i = (R_i - mean(R)) / (std(R) + 1e-6)
    loss = -1 / (sum_i |y_i|) sum_i sum_t min(r_t A_i, clip(r_t, 1 - 0.2, 1 + 0.28) A_i)

The paper's: clip-higher 0.2 / 0.28; the mean over all tokens; dynamic sampling (a group whose episodes all got the
same raw reward is not trained on, and others are drawn, 10 times at most in its script); overlong filtering; no KL.
Its soft overlong punishment is the shaper `overlong`.
Ours: an episode counts as overlong if its tokens ran out (`MAX_TOKENS`, `MAX_SUMMARIES`). Running out of turns is an
ordinary failure: answers that cannot be parsed leave the world as it is and end there, and they must not be free. The
advantages of an overlong episode are 0, it stays in its group's statistics and its tokens in the divisor. After the
last draw a step makes do with the groups it has. `minibatches` is 1; the paper makes one update from 512 answers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from agents.types import StopReason
from trainers.algorithms.base import Algorithm, AlgorithmConfig, Group, alike

__all__ = ["Dapo"]

OVERLONG = frozenset({StopReason.MAX_TOKENS, StopReason.MAX_SUMMARIES})


class DapoConfig(AlgorithmConfig):
    """DAPO's settings."""

    name: str = "dapo"
    """The algorithm's registry name."""
    clip_high: float = Field(0.28, ge=0)
    """The importance ratio is clipped above 1 + clip_high."""
    max_draws: int = Field(10, ge=1)
    """Times at most that tasks are drawn in a step to replace groups that were not admitted."""
    overlong_filter: bool = True
    """Whether an episode that a limit stopped is left without gradient."""


class Dapo(Algorithm):
    """Dynamic sampling and overlong filtering."""

    Config: ClassVar[type[AlgorithmConfig]] = DapoConfig
    config: DapoConfig

    def admit(self, group: Group) -> bool:
        """Whether the raw rewards of the group differ."""
        return not alike([sum(episode.rewards) for episode in group.episodes])

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: GRPO's, and 0 on episodes that a limit stopped."""
        found = super().advantages(groups)
        if not self.config.overlong_filter:
            return found
        return [
            [
                [0.0] * len(row) if episode.stop in OVERLONG else row
                for episode, row in zip(group.episodes, rows, strict=True)
            ]
            for group, rows in zip(groups, found, strict=True)
        ]
