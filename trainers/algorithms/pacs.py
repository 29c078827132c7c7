"""PACS: implicit actor-critic coupling by a supervised loss (arXiv 2509.02522).

    r_i = beta sum_t log(pi(y_t) / pi_old(y_t)),  psi_i = r_i - mean of the other episodes' r
    loss = mean_i of the binary cross-entropy of sigmoid(psi_i) with the label of episode i,  mean over groups

The paper's: that loss, beta 1.0 (its script has 2.0 too), the leave-one-out score, labels weighted so that right and
wrong weigh the same in a group (`balanced`), no KL, no clip.
Ours: an episode is right where its advantage is above 0, so where its return is above its group's mean, wrong below;
at 0 it has no label, but stays in the others' mean. Groups with one label only teach nothing and are not computed.
pi_old is the policy that sampled. A sequence is an episode.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import AlgorithmConfig
from trainers.grouped import Grouped, Rivals

__all__ = ["Pacs"]


class PacsConfig(AlgorithmConfig):
    """PACS's settings."""

    name: str = "pacs"
    """The algorithm's registry name."""
    clip_low: float = Field(1.0, ge=0)
    """Not used: the loss itself bounds the gradient."""
    clip_high: float = Field(1e9, ge=0)
    """Not used: the loss itself bounds the gradient."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """What a group weighs among groups: its episodes, or with "token" its sampled tokens."""
    beta: float = Field(1.0, gt=0)
    """Scale of the log-ratios."""
    balanced: bool = True
    """Whether right and wrong episodes weigh the same in a group, however many they are."""


class Pacs(Grouped):
    """The policy's own log-ratios foretell the outcome."""

    Config: ClassVar[type[AlgorithmConfig]] = PacsConfig
    config: PacsConfig

    def compared(self, group: Rivals) -> Tensor:
        """Scalar: weighted binary cross-entropy of the leave-one-out scores."""
        reward_E, label_E = self.config.beta * group.log_ratio_E, group.label_E
        others = max(len(reward_E) - 1, 1)
        psi_E = reward_E - (reward_E.sum() - reward_E) / others
        weight_E = (label_E != 0).to(psi_E.dtype)
        if self.config.balanced:
            sides = [label_E > 0, label_E < 0]
            kinds, labelled = sum(bool(side_E.any()) for side_E in sides), int(weight_E.sum())
            for side_E in sides:
                weight_E = torch.where(side_E, labelled / (max(kinds, 1) * max(int(side_E.sum()), 1)), weight_E)
        losses_E = -torch.nn.functional.logsigmoid(label_E * psi_E)
        return (weight_E * losses_E).sum() / (label_E != 0).sum().clamp(min=1)
