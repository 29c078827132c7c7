"""CoPG: Contrastive Policy Gradient: Aligning LLMs on sequence-level scores in a supervised-friendly fashion (arXiv
2406.19185).

    l_i = log(pi(y_i) / pi_ref(y_i)), of the whole sequence
    loss = -mean over pairs i < j of (R_i - R_j - beta / 2 (l_i - l_j)) (l_i - l_j)

The paper's: that loss, whose gradient is a policy gradient with the partner as baseline on rewards less beta l; samples
of any policy, without importance weights; beta 0.06, the best of its sweep. Its maximiser is pi_ref e^(R / beta).
Ours: the pairs are all those of a group, where the paper has two answers a prompt. pi_ref is the policy at the start of
the run. Groups that all got the same return are drawn back to pi_ref's proportions, as the loss says.
"""

from __future__ import annotations

from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import AlgorithmConfig, Forward, Need
from trainers.batch import Batch
from trainers.grouped import Grouped, Rivals, to_reference

__all__ = ["Copg"]


class CopgConfig(AlgorithmConfig):
    """CoPG's settings."""

    name: str = "copg"
    """The algorithm's registry name."""
    clip_low: float = Field(1.0, ge=0)
    """Not used: there is no importance ratio."""
    clip_high: float = Field(1e9, ge=0)
    """Not used: there is no importance ratio."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """What a group weighs among groups: its episodes, or with "token" its sampled tokens."""
    beta: float = Field(0.06, ge=0)
    """Reward that a nat of log(pi / pi_ref) costs."""


class Copg(Grouped):
    """Each pair of episodes is a baseline to each other."""

    Config: ClassVar[type[AlgorithmConfig]] = CopgConfig
    config: CopgConfig

    @property
    def needs(self) -> frozenset[Need]:
        """The reference, always."""
        return super().needs | {"reference"}

    def log_ratio(self, forward: Forward, batch: Batch) -> Tensor:
        """(B, L): a token's log-ratio to the reference."""
        return to_reference(forward, batch, self.config.name)

    def compared(self, group: Rivals) -> Tensor:
        """Scalar: the mean over the pairs; 0 where there are none."""
        i, j = torch.triu_indices(len(group.return_E), len(group.return_E), 1)
        gap = group.log_ratio_E[i] - group.log_ratio_E[j]
        better = group.return_E[i] - group.return_E[j]
        return -((better - self.config.beta / 2 * gap) * gap).sum() / max(len(i), 1)
