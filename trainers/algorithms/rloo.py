"""RLOO: Back to Basics: Revisiting REINFORCE Style Optimization for Learning from Human Feedback (arXiv 2402.14740).

    A_i = R_i - mean of the other episodes' R = G / (G - 1) (R_i - mean(R_1..R_G))
    loss = -mean_i sum_t A_i log pi(y_t)

The paper's: the leave-one-out baseline, no division by the spread, no clip, the whole answer as one action (so the
sum over its tokens, not their mean).
Ours: the token ratio stays, never clipped: at the first update its gradient is REINFORCE's, later ones stay
corrected for the distribution sampled from (set `clip_low` and `clip_high` to clip). The paper takes the KL penalty
off the reward; here `kl` is a loss term as everywhere, and off. A group of one episode has advantage 0.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from trainers.algorithms.base import Algorithm, AlgorithmConfig, alike

__all__ = ["Rloo"]


class RlooConfig(AlgorithmConfig):
    """RLOO's settings."""

    name: str = "rloo"
    """The algorithm's registry name."""
    clip_low: float = Field(1.0, ge=0)
    """The importance ratio is clipped below 1 - clip_low; 1 or more never clips."""
    clip_high: float = Field(1e9, ge=0)
    """The importance ratio is clipped above 1 + clip_high; the default is beyond every ratio."""
    aggregate: Literal["sequence", "token", "constant"] = "constant"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    constant_tokens: int = Field(1, gt=0)
    """Divisor of `aggregate = "constant"`, in tokens; 1 is the plain sum."""


class Rloo(Algorithm):
    """Leave-one-out baseline."""

    Config: ClassVar[type[AlgorithmConfig]] = RlooConfig

    def scores(self, returns: list[float]) -> list[float]:
        """[G] -> [G]: return - mean of the others; 0 where there are none."""
        if alike(returns):
            return [0.0] * len(returns)
        total, others = sum(returns), len(returns) - 1
        return [value - (total - value) / others for value in returns]
