"""Sums and means over the sampled tokens of a batch; positions that were not sampled count nowhere.

Shape suffixes: `B` rows, `L` tokens of a row, `E` episodes of a batch.
"""

from __future__ import annotations

import torch
from torch import Tensor

from trainers.batch import Batch

__all__ = ["MAX_LOG_RATIO_NATS", "bounded", "episode_means", "episode_sums", "masked_mean"]

MAX_LOG_RATIO_NATS = 20.0
"""Log-ratios are cut here, so that their exponential stays finite in float32 and a broken token cannot make a NaN."""


def bounded(log_ratio: Tensor) -> Tensor:
    """The same, cut at MAX_LOG_RATIO_NATS."""
    return log_ratio.clamp(-MAX_LOG_RATIO_NATS, MAX_LOG_RATIO_NATS)


def episode_sums(values_BL: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """Sums over the sampled tokens of each episode, (E,), and the index (B,) of each row's episode among them."""
    episodes_E, index_B = torch.unique(batch.episode_B, return_inverse=True)
    rows_B = values_BL.masked_fill(~batch.mask_BL, 0.0).sum(1)
    return rows_B.new_zeros(len(episodes_E)).index_add(0, index_B, rows_B), index_B


def episode_means(values_BL: Tensor, batch: Batch) -> Tensor:
    """(B, 1): the mean over the sampled tokens of each row's episode; 0 where it has none."""
    sums_E, index_B = episode_sums(values_BL, batch)
    tokens_E, _ = episode_sums(batch.mask_BL.to(values_BL.dtype), batch)
    return (sums_E / tokens_E.clamp(min=1))[index_B, None]


def masked_mean(values_BL: Tensor, mask_BL: Tensor) -> float:
    """Mean over the positions where mask is True; 0 where there are none."""
    return float(values_BL.masked_fill(~mask_BL, 0.0).sum() / mask_BL.sum().clamp(min=1))
