"""GSPO: Group Sequence Policy Optimization (arXiv 2507.18071).

    s_i = (pi(y_i) / pi_old(y_i)) ** (1 / |y_i|) = exp(mean_t log r_t)
    s_it = sg(s_i) pi(y_t) / sg(pi(y_t)): the value is s_i, the gradient reaches each token
    loss = -mean_i mean_t min(s_it A_i, clip(s_it, 1 - 3e-4, 1 + 4e-4) A_i)

The paper's: the ratio of a sequence, its clip 3e-4 / 4e-4, GRPO's advantages, sequence mean, no KL, 4 minibatches a
step.
Ours: in play of many turns a sequence is an episode: s_i is pooled over the sampled tokens of all its rows, which
lie in one batch for that. The token form above is the paper's GSPO-token, here with one advantage a turn.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Metrics, log_ratios
from trainers.batch import Batch
from trainers.sums import episode_means

__all__ = ["Gspo"]


class GspoConfig(AlgorithmConfig):
    """GSPO's settings."""

    name: str = "gspo"
    """The algorithm's registry name."""
    clip_low: float = Field(3e-4, ge=0)
    """The sequence ratio is clipped below 1 - clip_low."""
    clip_high: float = Field(4e-4, ge=0)
    """The sequence ratio is clipped above 1 + clip_high."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    minibatches: int = Field(4, ge=1)
    """Optimizer steps a pass; more than one makes the later ones off-policy."""


class Gspo(Algorithm):
    """One ratio an episode."""

    Config: ClassVar[type[AlgorithmConfig]] = GspoConfig
    pools_episodes = True

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: the clipped surrogate of the sequence ratio."""
        gap_BL = log_ratios(forward, batch)
        mean_B1 = episode_means(gap_BL.detach(), batch)
        return self.clipped(mean_B1 + gap_BL - gap_BL.detach(), forward, batch)
