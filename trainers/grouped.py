"""Losses that compare the episodes of a group with each other, each a number a group and not a token.

Rule: all rows of a group lie in one batch (`pools_groups`), and a group weighs what its episodes, or with
`aggregate = "token"` its tokens, weigh: a cut of a minibatch between groups changes nothing.

Shape suffix: `E` episodes, here of one group.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import Tensor

from trainers.algorithms.base import Algorithm, Forward, Metrics, episode_sums, log_ratios
from trainers.batch import Batch
from trainers.sums import bounded

__all__ = ["Grouped", "Rivals", "rivals", "to_reference"]


@dataclass(frozen=True, slots=True)
class Rivals:
    """The episodes of one group."""

    log_ratio_E: Tensor
    """Differentiable; the sum over an episode's sampled tokens, over all its rows."""
    tokens_E: Tensor
    """float; how many these are."""
    label_E: Tensor
    """1 where the mean advantage is above 0, -1 where it is below, 0 where there is nothing to tell."""
    return_E: Tensor
    """Shaped returns."""


class Grouped(Algorithm, ABC):
    """An algorithm whose loss compares episodes."""

    pools_groups = True
    weighs_tokens = False

    @abstractmethod
    def compared(self, group: Rivals) -> Tensor:
        """Scalar to be minimised, of one group."""

    def log_ratio(self, forward: Forward, batch: Batch) -> Tensor:
        """(B, L): a token's log-ratio, 0 where mask is False; to the policy that sampled."""
        return log_ratios(forward, batch)

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: the mean over groups of `compared`, with optional KL and entropy terms a token."""
        log_ratio_BL = self.log_ratio(forward, batch)
        total = log_ratio_BL.sum() * 0.0
        for group in torch.unique(batch.group_B):
            here_B = batch.group_B == group
            part = batch.rows(here_B)
            length = part.mask_BL.shape[1]
            share = self.weight(part) / max(self.weight(batch), 1)
            total = total + share * self.compared(rivals(log_ratio_BL[here_B][:, :length], part))
        metrics = self.watched(log_ratios(forward, batch), torch.zeros_like(batch.mask_BL), batch)
        rest, metrics = self.regularised(torch.zeros_like(log_ratio_BL), forward, batch, metrics)
        metrics["loss/policy"] = float((total + rest).detach())
        return total + rest, metrics


def to_reference(forward: Forward, batch: Batch, name: str) -> Tensor:
    """(B, L): a token's log-ratio to the reference, 0 where mask is False. Raises ValueError where there is none."""
    if forward.reference_BL is None:
        raise ValueError(f"{name} learns from a forward pass that has the reference's log-probabilities")
    return bounded((forward.logp_BL - forward.reference_BL).masked_fill(~batch.mask_BL, 0.0))


def rivals(log_ratio_BL: Tensor, group: Batch) -> Rivals:
    """The episodes of a batch that holds one group."""
    log_ratio_E, index_B = episode_sums(log_ratio_BL, group)
    tokens_E, _ = episode_sums(group.mask_BL.to(log_ratio_BL.dtype), group)
    advantage_E, _ = episode_sums(group.advantage_BL, group)
    return_E = torch.zeros_like(advantage_E).index_copy(0, index_B, group.return_B)
    return Rivals(log_ratio_E, tokens_E, torch.sign(advantage_E), return_E)
