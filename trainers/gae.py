"""Credit a token: the sampled tokens of a step as trajectories, and generalised advantage estimation over them.

High-Dimensional Continuous Control Using Generalized Advantage Estimation (arXiv 1506.02438):
`delta_k = r_k + gamma V_{k+1} - V_k`, `A_k = delta_k + gamma lam A_{k+1}`.

Rule: a trajectory is what the policy sampled in one episode, in the order it was played, whatever rows and batches it
lies in; ids the policy was shown are skipped, so neither discount nor bootstrap knows of them. V after the last is 0.

Shape suffix: `K` sampled tokens of the step, episode after episode.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from trainers.batch import Batch

__all__ = ["Trajectories", "gae", "whitened"]


class Trajectories:
    """The sampled tokens of all batches of a step, flat and in playing order."""

    def __init__(self, batches: Sequence[Batch]) -> None:
        """Raises ValueError where nothing was sampled."""
        if not any(batch.sampled_tokens for batch in batches):
            raise ValueError("trajectories need at least one sampled token")
        self._masks = [batch.mask_BL for batch in batches]
        turn_K = torch.cat([batch.turn_BL[batch.mask_BL] for batch in batches])
        episode_K = torch.cat([batch.episode_B[:, None].expand_as(batch.mask_BL)[batch.mask_BL] for batch in batches])
        # A turn's tokens stand side by side in one row, so a stable sort by episode and turn is the playing order.
        self._order_K = torch.argsort(episode_K * (int(turn_K.max()) + 1) + turn_K, stable=True)
        episode_K, turn_K = episode_K[self._order_K], turn_K[self._order_K]
        edge_K = torch.ones_like(episode_K[:1], dtype=torch.bool)
        self.ends_K = torch.cat([episode_K[1:] != episode_K[:-1], edge_K])
        """True on the last token of an episode."""
        self.lasts_K = torch.cat([turn_K[1:] != turn_K[:-1], edge_K]) | self.ends_K
        """True on the last token of a turn."""

    def flat(self, values: Sequence[Tensor]) -> Tensor:
        """One (B, L) a batch -> (K,)."""
        found = [value_BL[mask_BL] for value_BL, mask_BL in zip(values, self._masks, strict=True)]
        return torch.cat(found)[self._order_K]

    def padded(self, values_K: Tensor) -> list[Tensor]:
        """(K,) -> one (B, L) a batch, 0 where nothing was sampled."""
        unsorted_K = torch.empty_like(values_K)
        unsorted_K[self._order_K] = values_K
        parts = torch.split(unsorted_K, [int(mask_BL.sum()) for mask_BL in self._masks])
        return [
            torch.zeros(mask_BL.shape, dtype=part.dtype, device=part.device).masked_scatter(mask_BL, part)
            for mask_BL, part in zip(self._masks, parts, strict=True)
        ]


def gae(reward_K: Tensor, value_K: Tensor, ends_K: Tensor, *, gamma: float, lam: float) -> Tensor:
    """(K,) advantages; `value_K` is V before each token is sampled. `lam` 1 and V 0 give the sum of later rewards."""
    rewards, values, ends = reward_K.tolist(), value_K.tolist(), ends_K.tolist()
    out = [0.0] * len(rewards)
    advantage = following = 0.0
    for k in range(len(rewards) - 1, -1, -1):
        if ends[k]:
            advantage = following = 0.0
        advantage = rewards[k] + gamma * following - values[k] + gamma * lam * advantage
        following = values[k]
        out[k] = advantage
    return torch.tensor(out, dtype=reward_K.dtype, device=reward_K.device)


def whitened(values_K: Tensor) -> Tensor:
    """(values - mean) / sqrt(variance + 1e-8), the variance of a sample (n - 1); zeros for a single value."""
    if len(values_K) < 2:
        return torch.zeros_like(values_K)
    return (values_K - values_K.mean()) * torch.rsqrt(values_K.var() + 1e-8)
