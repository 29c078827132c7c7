"""Dr. GRPO: Understanding R1-Zero-Like Training: A Critical Perspective (arXiv 2503.20783).

    A_i = R_i - mean(R_1..R_G)
    loss = -mean_i 1/C sum_t min(r_t A_i, clip(r_t, 1 - 0.2, 1 + 0.2) A_i),  C = 3000 tokens

The paper's: GRPO without its two biases, the division by the group's spread and by each answer's length; C is the
largest number of tokens generated (3000 in its runs); no KL.
Ours: C divides the token sum of a whole episode.
"""

from __future__ import annotations

import statistics
from typing import ClassVar, Literal

from pydantic import Field

from trainers.algorithms.base import Algorithm, AlgorithmConfig, alike

__all__ = ["DrGrpo"]


class DrGrpoConfig(AlgorithmConfig):
    """Dr. GRPO's settings."""

    name: str = "dr_grpo"
    """The algorithm's registry name."""
    aggregate: Literal["sequence", "token", "constant"] = "constant"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    constant_tokens: int = Field(3000, gt=0)
    """Divisor of `aggregate = "constant"`, in tokens: the most that an episode may sample."""


class DrGrpo(Algorithm):
    """GRPO without the two divisions."""

    Config: ClassVar[type[AlgorithmConfig]] = DrGrpoConfig

    def scores(self, returns: list[float]) -> list[float]:
        """[G] -> [G]: return - mean of the group."""
        if alike(returns):
            return [0.0] * len(returns)
        mean = statistics.fmean(returns)
        return [value - mean for value in returns]
