"""A-LoL: Leftover Lunch: Advantage-based Offline Reinforcement Learning for Language Models (arXiv 2305.14718).

    A(x, y) = R(x, y) - V_ref(x),  only episodes with A > 0 are learned from
    loss = -mean_i A_i sg(clip(pi(y_i) / pi_ref(y_i), 1 - 0.9, 1 + 0.9)) sum_t log pi(y_it)

A whole sequence is one action, and the reference policy is what its data is taken to be drawn from. Variants: no ratio
(`ref_free`); a ratio a token (`token`); no ratio and a penalty beta log(pi / pi_ref) (`kl`). Without V_ref it is R-LoL.
The paper's: those, the clip 0.9, the sum over tokens (its code: better than the mean), good episodes drawn in
proportion to A (`priority`).
Ours, for the paper learns from a fixed data set and a value head trained on its reference's own answers: each step is
such a problem, its data the step's episodes, its reference the policy that sampled them, so that V_ref(x) is the mean
of a task's episodes; `reference = "start"` takes the policy of the start of the run for the ratio and the penalty. In
the place of drawing, an episode weighs by its share of all A: the mean of what would be drawn.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Group, Metrics, Need, alike
from trainers.batch import Batch
from trainers.corrections import ratios
from trainers.sums import bounded

__all__ = ["ALol"]


class ALolConfig(AlgorithmConfig):
    """A-LoL's settings."""

    name: str = "a_lol"
    """The algorithm's registry name."""
    clip_low: float = Field(0.9, ge=0)
    """The ratio to the reference is at least 1 - clip_low."""
    clip_high: float = Field(0.9, ge=0)
    """The ratio to the reference is at most 1 + clip_high."""
    aggregate: Literal["sequence", "token", "constant"] = "constant"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    constant_tokens: int = Field(1, gt=0)
    """Divisor of `aggregate = "constant"`, in tokens; 1 is the plain sum."""
    variant: Literal["sequence", "token", "ref_free", "kl"] = "sequence"
    """Ratio of the whole sequence; of each token; none; none and a penalty."""
    beta: float = Field(0.0, ge=0)
    """Weight of log(pi / pi_ref) in the loss of `variant = "kl"`."""
    baseline: Literal["mean", "none"] = "mean"
    """V_ref: the mean return of the task's episodes; "none" is R-LoL."""
    priority: bool = True
    """Whether episodes weigh as if they had been drawn in proportion to their advantages."""
    reference: Literal["sampler", "start"] = "sampler"
    """pi_ref: the policy that sampled, or the one of the start of the run."""


class ALol(Algorithm):
    """Only what did better than was to be expected is imitated, by how much it did."""

    Config: ClassVar[type[AlgorithmConfig]] = ALolConfig
    config: ALolConfig

    @property
    def needs(self) -> frozenset[Need]:
        """The reference, where it is not what sampled."""
        extra: frozenset[Need] = frozenset({"reference"}) if self.config.reference == "start" else frozenset()
        return super().needs | extra

    @property
    def skips_zero(self) -> bool:
        """Whether what did no better has no gradient."""
        return not (self.config.kl or self.config.entropy)

    @property
    def together(self) -> Literal["row", "episode", "group"]:
        """Episodes, where the ratio is of the whole sequence."""
        return "episode" if self.config.variant == "sequence" else super().together

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: what an episode did better than its task's mean; 0 on the others."""
        found = [[max(value, 0.0) for value in self.scores(group.returns)] for group in groups]
        good = [value for values in found for value in values if value > 0]
        scale = statistics.fmean(good) if good and self.config.priority else 0.0
        return [
            [
                [value * value / scale if scale else value] * len(rewards)
                for value, rewards in zip(values, group.rewards, strict=True)
            ]
            for values, group in zip(found, groups, strict=True)
        ]

    def scores(self, returns: list[float]) -> list[float]:
        """[G] -> [G]: return - V_ref."""
        if self.config.baseline == "none":
            return list(returns)
        mean = statistics.fmean(returns)
        return [0.0 if alike(returns) else value - mean for value in returns]

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: REINFORCE weighted by the clipped ratio. Raises ValueError where a reference is missing."""
        anchor_BL = batch.behaviour_BL if self.config.reference == "sampler" else forward.reference_BL
        if anchor_BL is None:
            raise ValueError("a_lol with reference = 'start' learns from a forward pass that has the reference's")
        gap_BL = bounded((forward.logp_BL - anchor_BL).masked_fill(~batch.mask_BL, 0.0))
        weight_BL = torch.ones_like(gap_BL)
        if self.config.variant in ("sequence", "token"):
            weight_BL = weight_BL * ratios(self.config.variant, gap_BL.detach(), batch)
        clipped_BL = weight_BL.clamp(1 - self.config.clip_low, 1 + self.config.clip_high)
        loss_BL = -clipped_BL * batch.advantage_BL * forward.logp_BL
        if self.config.variant == "kl":
            loss_BL = loss_BL + self.config.beta * gap_BL.masked_fill(batch.advantage_BL == 0, 0.0)
        return self.regularised(loss_BL, forward, batch, self.watched(gap_BL, clipped_BL != weight_BL, batch))
