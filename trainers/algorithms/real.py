"""REAL: Rewards as Labels (arXiv 2602.05630).

    s_i = 1 / |y_i| sum_t log(pi(y_t) / pi_old(y_t))
    loss = log(1 + sum over the right of e^(-s_i / tau)) + log(1 + sum over the wrong of e^(s_i / tau)), a group's

The paper's: that loss, whose 1 is an anchor of logit 0, tau 0.5, groups with one label only left out, no KL, no clip;
and its variant with a binary cross-entropy an episode.
Ours: rewards that are no labels become such: an episode is right where its advantage is above 0, so where its return is
above its group's mean; at 0 it has no label. pi_old is the policy that sampled. A sequence is an episode. The variant
is the mean over a group's labelled episodes.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import AlgorithmConfig
from trainers.grouped import Grouped, Rivals

__all__ = ["Real"]


class RealConfig(AlgorithmConfig):
    """REAL's settings."""

    name: str = "real"
    """The algorithm's registry name."""
    clip_low: float = Field(1.0, ge=0)
    """Not used: the loss itself bounds the gradient."""
    clip_high: float = Field(1e9, ge=0)
    """Not used: the loss itself bounds the gradient."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """What a group weighs among groups: its episodes, or with "token" its sampled tokens."""
    tau: float = Field(0.5, gt=0)
    """Temperature: no episode weighs more than 1 / tau."""
    variant: Literal["anchor", "bce"] = "anchor"
    """The loss against an anchor; or a binary cross-entropy an episode."""


class Real(Grouped):
    """Learning from rewards as classification."""

    Config: ClassVar[type[AlgorithmConfig]] = RealConfig
    config: RealConfig

    def compared(self, group: Rivals) -> Tensor:
        """Scalar: right episodes above the anchor, wrong ones below."""
        logit_E = group.log_ratio_E / group.tokens_E.clamp(min=1) / self.config.tau
        labelled_E = group.label_E != 0
        if self.config.variant == "bce":
            signed_E = (group.label_E * logit_E)[labelled_E]
            return -torch.nn.functional.logsigmoid(signed_E).sum() / max(len(signed_E), 1)
        anchor = torch.zeros_like(logit_E[:1])
        right = torch.logsumexp(torch.cat([anchor, -logit_E[group.label_E > 0]]), 0)
        wrong = torch.logsumexp(torch.cat([anchor, logit_E[group.label_E < 0]]), 0)
        return right + wrong
