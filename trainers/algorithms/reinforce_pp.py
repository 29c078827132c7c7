"""REINFORCE++: An Efficient RLHF Algorithm with Robustness to Both Prompt and Reward Models (arXiv 2501.03262).

    A_t = sum of the rewards from token t on - beta sum_{k >= t} (log pi_old(y_k) - log pi_ref(y_k))
    A_t <- (A_t - mean(A)) / std(A) over all sampled tokens of the step
    loss = -mean_t min(r_t A_t, clip(r_t, 1 - 0.2, 1 + 0.2) A_t)

The paper's, as secondary sources and verl's code have it (its full text was not read): no critic and no group
statistics, the advantage normalised over the whole step, the KL penalty (k1) a token and inside the reward, PPO's clip;
with `baseline = "group"` its variant for several answers a prompt: the group's mean is taken off first.
Ours: a turn's reward stands on its last token, so credit is the reward still to come; in the group variant the group's
mean return is taken off on every token. `kl_reward` is 0: the paper's value is not known to us. `kl`, the loss term
(k3; the paper's group variant has k2), is off too.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Group, Need
from trainers.batch import Batch
from trainers.gae import Trajectories, gae, whitened

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["ReinforcePp"]


class ReinforcePpConfig(AlgorithmConfig):
    """REINFORCE++'s settings."""

    name: str = "reinforce_pp"
    """The algorithm's registry name."""
    kl_reward: float = Field(0.0, ge=0)
    """Weight of log(pi_old / pi_ref), taken off the reward of each token; 0 keeps no reference model."""
    baseline: Literal["none", "group"] = "none"
    """What is taken off before the normalisation: nothing, or the mean return of the group."""


class ReinforcePp(Algorithm):
    """PPO without a critic: credit is normalised over the step."""

    Config: ClassVar[type[AlgorithmConfig]] = ReinforcePpConfig
    config: ReinforcePpConfig
    raw_credit = True

    @property
    def keeps(self) -> frozenset[Need]:
        """A reference model for `prepare` too."""
        return self.needs | {"reference"} if self.config.kl_reward else self.needs

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: the reward still to come at each turn, less the baseline; `prepare` normalises it."""
        return [[self._to_come(row, self._mean(group)) for row in group.rewards] for group in groups]

    def prepare(self, learner: Learner, batches: Sequence[Batch]) -> list[Batch]:
        """The same batches with advantages normalised over all their sampled tokens."""
        played = Trajectories(batches)
        credit_K = played.flat([batch.advantage_BL for batch in batches])
        if self.config.kl_reward:
            cost_K = played.flat([self._cost(learner, batch) for batch in batches])
            to_come_K = gae(cost_K, torch.zeros_like(cost_K), played.ends_K, gamma=1.0, lam=1.0)
            credit_K = credit_K - self.config.kl_reward * to_come_K
        found = played.padded(whitened(credit_K))
        return [replace(batch, advantage_BL=values) for batch, values in zip(batches, found, strict=True)]

    def _mean(self, group: Group) -> float:
        return statistics.fmean(group.returns) if self.config.baseline == "group" else 0.0

    @staticmethod
    def _to_come(rewards: list[float], baseline: float) -> list[float]:
        out: list[float] = []
        total = -baseline
        for reward in reversed(rewards):
            total += reward
            out.append(total)
        return out[::-1]

    @staticmethod
    def _cost(learner: Learner, batch: Batch) -> torch.Tensor:
        """(B, L): log(pi_old / pi_ref), the k1 estimate of the KL divergence."""
        with torch.no_grad():
            reference_BL = learner.forward(batch, frozenset({"reference"})).reference_BL
        assert reference_BL is not None, "the learner keeps no reference model"
        return batch.behaviour_BL - reference_BL
