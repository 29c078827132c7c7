"""MiniRL: Stabilizing Reinforcement Learning with LLMs: Formulation and Practices (arXiv 2512.01374).

    pi(y_t) / mu(y_t) = [pi_old(y_t) / mu(y_t)] [pi(y_t) / pi_old(y_t)] = mismatch times staleness
    loss = -mean_i sum_t M_t sg(min(pi(y_t) / mu(y_t), 5)) A_i log pi(y_t),  A_i = R_i - mean(R)
    M_t = 0 where A_i > 0 and pi / pi_old > 1 + 0.27, or A_i < 0 and pi / pi_old < 1 - 0.2; else 1

mu is what sampled, pi_old the trainer's policy before the step's first update. The sum over tokens is the first-order
approximation of the sequence's own importance weight, as long as both parts of the ratio stay near 1.

The paper's: that surrogate, no length normalisation, no division by the spread, masks on the staleness alone, 0.2 and
0.27, weights truncated at 5. Routing replay for mixtures of experts is not built.
Not in the paper's digest that this is written from: the exact masks, the number of minibatches. Ours: the masks above,
which are PPO's; one minibatch a step (the paper has 1 to 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Metrics, alike, log_ratios, masked_mean
from trainers.batch import Batch
from trainers.sums import bounded

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["Minirl"]


class MinirlConfig(AlgorithmConfig):
    """MiniRL's settings."""

    name: str = "minirl"
    """The algorithm's registry name."""
    clip_low: float = Field(0.2, ge=0)
    """A token of negative advantage is masked where pi / pi_old is below 1 - clip_low."""
    clip_high: float = Field(0.27, ge=0)
    """A token of positive advantage is masked where pi / pi_old is above 1 + clip_high."""
    truncate: float = Field(5.0, gt=0)
    """Largest weight pi / mu of a token."""
    aggregate: Literal["sequence", "token", "constant"] = "constant"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    constant_tokens: int = Field(1, gt=0)
    """Divisor of `aggregate = "constant"`, in tokens; 1 is the plain sum."""


class Minirl(Algorithm):
    """Staleness masks a token, its whole ratio weighs it."""

    Config: ClassVar[type[AlgorithmConfig]] = MinirlConfig
    config: MinirlConfig

    def scores(self, returns: list[float]) -> list[float]:
        """[G] -> [G]: return - mean."""
        if alike(returns):
            return [0.0] * len(returns)
        mean = sum(returns) / len(returns)
        return [value - mean for value in returns]

    def prepare(self, learner: Learner, batches: Sequence[Batch]) -> list[Batch]:
        """The same batches, with pi_old where more than one update is to come."""
        return self.remembered(learner, batches)

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: REINFORCE on the tokens that are not stale, weighted by the truncated ratio to the sampler."""
        log_ratio_BL = log_ratios(forward, batch).detach()
        before_BL = forward.logp_BL.detach() if batch.before_BL is None else batch.before_BL
        stale_BL = bounded((forward.logp_BL.detach() - before_BL).masked_fill(~batch.mask_BL, 0.0)).exp()
        masked_BL = (batch.advantage_BL > 0) & (stale_BL > 1 + self.config.clip_high)
        masked_BL |= (batch.advantage_BL < 0) & (stale_BL < 1 - self.config.clip_low)
        ratio_BL = log_ratio_BL.exp()
        weight_BL = ratio_BL.clamp(max=self.config.truncate).masked_fill(masked_BL, 0.0)
        metrics = self.watched(log_ratio_BL, masked_BL, batch)
        metrics["policy/truncated_share"] = masked_mean((ratio_BL > self.config.truncate).float(), batch.mask_BL)
        return self.regularised(-weight_BL * batch.advantage_BL * forward.logp_BL, forward, batch, metrics)
