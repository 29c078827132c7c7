"""80/20: Beyond the 80/20 Rule: High-Entropy Minority Tokens Drive Effective Reinforcement Learning for LLM Reasoning
(arXiv 2506.01939).

    H_t = -sum_v p_t(v) log p_t(v),  I_t = 1 where H_t >= the (1 - 0.2) quantile of H, else 0
    loss = -1 / (sum_i sum_t I_it) sum_i sum_t I_it min(r_t A_i, clip(r_t, 1 - 0.2, 1 + 0.28) A_i)

The paper's: DAPO with the loss on the 20 % of tokens of highest entropy, in numerator and denominator; token mean,
no KL, dynamic sampling and overlong filtering as in `dapo`.
Not in the paper, or both ways in it: the pool of the quantile. Ours: the sampled tokens of a minibatch, under the
policy as it is before its update; a first pass without gradient finds the threshold, so a cut into batches changes
nothing, and episodes without advantage are in the pool. A set `kl` or `entropy` acts on the same tokens.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Metrics
from trainers.algorithms.dapo import Dapo, DapoConfig
from trainers.batch import Batch

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["EntropyTokens"]


class EntropyTokensConfig(DapoConfig):
    """80/20's settings."""

    name: str = "entropy_tokens"
    """The algorithm's registry name."""
    top: float = Field(0.2, gt=0, le=1)
    """Share of the sampled tokens, those of highest entropy, that are learned from."""


class EntropyTokens(Dapo):
    """Only where the policy is undecided is it taught."""

    Config: ClassVar[type[EntropyTokensConfig]] = EntropyTokensConfig
    config: EntropyTokensConfig

    @property
    def skips_zero(self) -> bool:
        """Nothing: the entropies of all episodes are compared."""
        return False

    def update(self, learner: Learner, batches: Sequence[Batch]) -> Metrics:
        """One optimizer step over the undecided tokens of a minibatch."""
        with torch.no_grad():
            found = [learner.forward(batch, frozenset({"entropy"})).entropy_BL for batch in batches]
        entropies = [entropy_BL for entropy_BL in found if entropy_BL is not None]
        threshold = self.threshold(torch.cat([e[batch.mask_BL] for e, batch in zip(entropies, batches, strict=True)]))
        kept = [
            replace(batch, mask_BL=batch.mask_BL & (entropy_BL >= threshold))
            for batch, entropy_BL in zip(batches, entropies, strict=True)
        ]
        kept = [batch for batch in kept if batch.sampled_tokens]
        total = sum(self.weight(batch) for batch in kept)
        metrics = super().update(learner, [replace(batch, scale=self.weight(batch) / total) for batch in kept])
        return metrics | {"policy/entropy_threshold_nats": threshold}

    def threshold(self, entropy_K: Tensor) -> float:
        """The entropy that the `top` share of these, rounded up, reaches."""
        count = max(math.ceil(self.config.top * len(entropy_K) - 1e-9), 1)
        return float(torch.topk(entropy_K, count).values[-1])
