"""GPPO: Klear-Reasoner: Advancing Reasoning Capability via Gradient-Preserving Clipping Policy Optimization (arXiv
2508.07629).

    c_t = clip(r_t, 1 - 0.2, 1 + 0.28), its value; its gradient is that of c_t / sg(r_t) r_t, so c_t grad log pi(y_t)
    loss = -1 / (sum_i |y_i|) sum_i sum_t min(r_t A_i, c_t A_i)
         - 0.1 mean over the tokens of correct episodes of log pi(y_t)

The paper's: the value of clip-higher GRPO, a gradient that the clip bounds and never drops (and PPO's pessimism, which
CISPO has not: r_t stays where it is below the clip and A > 0, or above it and A < 0); the language-model loss on
correct answers, weight 0.1; groups without spread left out; no KL. Its general form scales the two clipped cases by
beta_1 and beta_2, which are 1.
Not in the paper: play of many turns. Ours: an episode is correct where its return is at least `correct` = 1; the
paper's formula prints pi for log pi there, which its code does not have. No draws for groups left out, one minibatch a
step (its batch of 128 prompts makes 8).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Group, Metrics, alike, log_ratios
from trainers.batch import Batch

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["Gppo"]


class GppoConfig(AlgorithmConfig):
    """GPPO's settings."""

    name: str = "gppo"
    """The algorithm's registry name."""
    clip_high: float = Field(0.28, ge=0)
    """The importance ratio is clipped above 1 + clip_high."""
    imitate: float = Field(0.1, ge=0)
    """Weight of the mean negative log-probability of correct episodes' tokens; 0 leaves it out."""
    correct: float = 1.0
    """Return from which an episode is correct."""


class Gppo(Algorithm):
    """The clip bounds the gradient and keeps it."""

    Config: ClassVar[type[AlgorithmConfig]] = GppoConfig
    config: GppoConfig

    @property
    def skips_zero(self) -> bool:
        """Only where nothing is imitated: a correct episode teaches whatever its advantage."""
        return super().skips_zero and not self.config.imitate

    def admit(self, group: Group) -> bool:
        """Whether the raw rewards of the group differ."""
        return not alike([sum(episode.rewards) for episode in group.episodes])

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: the surrogate alone; `update` adds what is imitated, whose divisor only a whole minibatch knows."""
        log_ratio_BL = log_ratios(forward, batch)
        ratio_BL = log_ratio_BL.exp()
        value_BL = ratio_BL.detach()
        bounded_BL = value_BL.clamp(1 - self.config.clip_low, 1 + self.config.clip_high) / value_BL * ratio_BL
        surrogate_BL = torch.minimum(ratio_BL * batch.advantage_BL, bounded_BL * batch.advantage_BL)
        cut_BL = surrogate_BL < ratio_BL * batch.advantage_BL
        return self.regularised(-surrogate_BL, forward, batch, self.watched(log_ratio_BL, cut_BL, batch))

    def imitated(self, batch: Batch) -> Tensor:
        """(B, L) bool: the sampled tokens of correct episodes."""
        return batch.mask_BL & (batch.return_B >= self.config.correct)[:, None]

    def update(self, learner: Learner, batches: Sequence[Batch]) -> Metrics:
        """One optimizer step over the batches of a minibatch; both terms from one forward pass a batch."""
        total: Metrics = {}
        tokens = max(sum(batch.sampled_tokens for batch in batches), 1)
        correct = max(sum(int(self.imitated(batch).sum()) for batch in batches), 1)
        for batch in batches:
            forward = learner.forward(batch, self.needs)
            loss, metrics = self.objective(forward, batch)
            imitation = -forward.logp_BL.masked_fill(~self.imitated(batch), 0.0).sum() / correct
            learner.backward(loss * batch.scale + self.config.imitate * imitation)
            for name, value in metrics.items():
                share = batch.scale if name.startswith("loss/") else batch.sampled_tokens / tokens
                total[name] = total.get(name, 0.0) + value * share
            total["loss/imitation"] = total.get("loss/imitation", 0.0) + float(imitation.detach())
        return total | learner.step()
