"""CISPO: MiniMax-M1: Scaling Test-Time Compute Efficiently with Lightning Attention (arXiv 2506.13585).

    loss = -1 / (sum_i |y_i|) sum_i sum_t sg(clip(r_t, 1 - low, 1 + high)) A_i log pi(y_t)

The paper's: the clipped ratio is a weight without gradient, so no token is dropped; the lower clip is set so wide
that it does nothing; GRPO's advantages; token mean; no KL.
Not in the paper: the value of `high`. Ours: 0.2, as in verl's example (ScaleRL has 5.0).
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Metrics, log_ratios
from trainers.batch import Batch

__all__ = ["Cispo"]


class CispoConfig(AlgorithmConfig):
    """CISPO's settings."""

    name: str = "cispo"
    """The algorithm's registry name."""
    clip_low: float = Field(1.0, ge=0)
    """The token's weight is at least 1 - clip_low; 1 or more never clips."""


class Cispo(Algorithm):
    """The importance weight is clipped, the gradient is not."""

    Config: ClassVar[type[AlgorithmConfig]] = CispoConfig

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: REINFORCE weighted by the clipped ratio."""
        log_ratio_BL = log_ratios(forward, batch)
        ratio_BL = log_ratio_BL.detach().exp()
        weight_BL = ratio_BL.clamp(1 - self.config.clip_low, 1 + self.config.clip_high)
        loss_BL = -weight_BL * batch.advantage_BL * forward.logp_BL
        metrics = self.watched(log_ratio_BL, weight_BL != ratio_BL, batch)
        return self.regularised(loss_BL, forward, batch, metrics)
