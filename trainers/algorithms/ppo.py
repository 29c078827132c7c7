"""PPO in many turns: A Practitioner's Guide to Multi-turn Agentic RL (arXiv 2510.01132); PPO itself: arXiv 1707.06347.

    delta_k = r_k + gamma V_{k+1} - V_k,  A_k = delta_k + gamma lam A_{k+1},  target_k = A_k + V_k
    loss = -mean_k min(r_k A_k, clip(r_k, 1 - 0.2, 1 + 0.2) A_k) + 0.5 mean_k 1/2 (V_k - target_k)^2 + 0.001 KL

over the sampled tokens k of an episode, all turns concatenated; what the policy was shown is skipped. The reward of a
turn stands on its last sampled token, every other token has 0.

The paper's: that formulation, clip 0.2, KL 0.001, gamma 1, a critic with 10 times the actor's learning rate.
Not in the paper: lam. Ours: 1.0 (verl's default, which the paper's code builds on), advantages whitened over the whole
step, the KL as k3 in the loss, values clipped within 0.5 of the old ones (verl's default), weight 0.5 of the value
loss, V = 0 after the last token also where a limit stopped the episode, values and advantages computed once a step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Group, Metrics, masked_mean
from trainers.batch import Batch
from trainers.gae import Trajectories, gae, whitened

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["Ppo"]


class PpoConfig(AlgorithmConfig):
    """Multi-turn PPO's settings."""

    name: str = "ppo"
    """The algorithm's registry name."""
    kl: float = Field(0.001, ge=0)
    """Weight of the k3 estimate of KL(policy || reference) in the loss; 0 keeps no reference model."""
    gamma: float = Field(1.0, ge=0, le=1)
    """Discount a sampled token."""
    lam: float = Field(1.0, ge=0, le=1)
    """Lambda of generalised advantage estimation: 1 trusts the rewards, 0 the critic."""
    value: float = Field(0.5, ge=0)
    """Weight of the value loss."""
    value_clip: float = Field(0.5, ge=0)
    """A value farther than this from the old one has no gradient that takes it farther; 0 does not clip."""
    whiten: bool = True
    """Whether advantages are shifted and scaled to mean 0 and variance 1 over the step's sampled tokens."""


class Ppo(Algorithm):
    """Credit a token, by a critic."""

    Config: ClassVar[type[AlgorithmConfig]] = PpoConfig
    config: PpoConfig
    needs_critic = True
    raw_credit = True

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: the shaped reward of each turn; `prepare` makes advantages of it."""
        return [[list(rewards) for rewards in group.rewards] for group in groups]

    def prepare(self, learner: Learner, batches: Sequence[Batch]) -> list[Batch]:
        """The same batches with advantages a token, targets for the critic, and its values before the step."""
        played = Trajectories(batches)
        values = [self._values(learner, batch) for batch in batches]
        value_K = played.flat(values)
        reward_K = played.flat([batch.advantage_BL for batch in batches]) * played.lasts_K
        advantage_K, target_K = self.estimated(played, batches, reward_K, value_K)
        targets = played.padded(target_K)
        found = played.padded(whitened(advantage_K) if self.config.whiten else advantage_K)
        return [
            replace(batch, advantage_BL=advantage_BL, target_BL=target_BL, value_BL=value_BL)
            for batch, advantage_BL, target_BL, value_BL in zip(batches, found, targets, values, strict=True)
        ]

    def estimated(
        self, played: Trajectories, batches: Sequence[Batch], reward_K: Tensor, value_K: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(K,) advantages, and what the critic learns to foretell; `value_K` is V before each token is sampled."""
        advantage_K = gae(reward_K, value_K, played.ends_K, gamma=self.config.gamma, lam=self.config.lam)
        return advantage_K, advantage_K + value_K

    @staticmethod
    def _values(learner: Learner, batch: Batch) -> Tensor:
        with torch.no_grad():
            value_BL = learner.forward(batch, frozenset({"value"})).value_BL
        assert value_BL is not None, "the learner has no critic"
        return value_BL.float().masked_fill(~batch.mask_BL, 0.0)

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: the clipped surrogate and the weighted value loss. Raises ValueError on a batch not prepared."""
        if forward.value_BL is None or batch.target_BL is None or batch.value_BL is None:
            raise ValueError("ppo learns from batches that `prepare` has given values and targets")
        policy, metrics = super().loss(forward, batch)
        value_BL, old_BL, target_BL = forward.value_BL, batch.value_BL, batch.target_BL
        error_BL = (value_BL - target_BL) ** 2
        if self.config.value_clip:
            near_BL = old_BL + (value_BL - old_BL).clamp(-self.config.value_clip, self.config.value_clip)
            error_BL = torch.maximum(error_BL, (near_BL - target_BL) ** 2)
        value = 0.5 * self.aggregated(error_BL, batch)
        metrics["loss/value"] = float(value.detach())
        metrics["critic/value_mean"] = masked_mean(value_BL.detach(), batch.mask_BL)
        metrics["critic/target_mean"] = masked_mean(target_BL, batch.mask_BL)
        metrics["critic/error_rms"] = masked_mean((value_BL.detach() - target_BL) ** 2, batch.mask_BL) ** 0.5
        return policy + self.config.value * value, metrics
