"""OTR: One-Token Rollout: Guiding Supervised Fine-Tuning of LLMs with Policy Gradient (arXiv 2509.26313).

    at every position of what is to be imitated, K candidates a_1 .. a_K are drawn from the policy
    r_k = 1 where a_k is the token that stands there, else a penalty below 0
    loss = -mean over positions of 1/K sum_k r_k log pi(a_k)

Imitation as reinforcement learning of one step a token: what the policy would not say itself is hardly pulled at, for
it is hardly drawn.
The paper's: that rollout of one token, the reward of a match, a negative one otherwise, the policy gradient.
Not in what this is written from, the abstract and notes: K, the penalty, the temperature of the draws, whether there is
a baseline. Ours: K 32, penalty -0.1, the policy's own distribution (of what it won, at the temperature of play), no
baseline. What is imitated is the expert's episode of each task that is played (`truth = "expert"`), or what the policy
itself won ("won"). What is played says how good the policy is, and is otherwise not learned from.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Group, Metrics, Need, masked_mean
from trainers.batch import Batch

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["Otr"]


class OtrConfig(AlgorithmConfig):
    """OTR's settings."""

    name: str = "otr"
    """The algorithm's registry name."""
    clip_low: float = Field(1.0, ge=0)
    """Not used: candidates are of the policy as it is."""
    clip_high: float = Field(1e9, ge=0)
    """Not used: candidates are of the policy as it is."""
    candidates: int = Field(32, ge=1)
    """K: tokens drawn at each position."""
    penalty: float = Field(-0.1, le=0)
    """Reward of a candidate that is another token."""
    truth: Literal["expert", "won"] = "expert"
    """What is imitated: the expert's episode of each task, or those of the policy's own that solved theirs."""


class Otr(Algorithm):
    """One-step reinforcement learning at every token of a demonstration."""

    Config: ClassVar[type[AlgorithmConfig]] = OtrConfig
    config: OtrConfig
    weighs_tokens = False

    def __init__(self, config: Any, pool: Any) -> None:
        super().__init__(config, pool)
        self._updates = 0
        """So many; each draws candidates of its own."""

    @property
    def needs(self) -> frozenset[Need]:
        """The whole distribution at each position."""
        return super().needs | {"distribution"}

    @property
    def skips_zero(self) -> bool:
        """Whether nothing but what is imitated has a gradient."""
        return not super().needs

    def asks(self, group: Group) -> bool:
        """Whether the expert is to show this task."""
        return self.config.truth == "expert"

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: 1 on what is imitated of the policy's own play, else 0."""
        own = self.config.truth == "won"
        return [
            [[float(own and episode.success)] * len(rewards) for episode, rewards in pairs]
            for pairs in (zip(group.episodes, group.rewards, strict=True) for group in groups)
        ]

    def weight(self, batch: Batch) -> int:
        """What a mean over what is imitated divides by: its tokens, or the episodes that have any."""
        truth = imitated(batch)
        if self.config.aggregate == "token":
            return truth.sampled_tokens
        return len(torch.unique(batch.episode_B[truth.mask_BL.any(1)]))

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: the policy gradient of the candidates. Raises ValueError for a forward pass without distribution."""
        if forward.distribution_SV is None:
            raise ValueError("otr learns from a forward pass that has the whole distribution at each sampled position")
        truth = imitated(batch)
        logp_TV = forward.distribution_SV[truth.mask_BL[batch.mask_BL]]
        ids_T = batch.ids_BL[truth.mask_BL]
        drawn_TK = self.drawn(logp_TV.detach(), truth)
        match_TK = drawn_TK == ids_T[:, None]
        reward_TK = torch.where(match_TK, 1.0, self.config.penalty)
        loss_T = -(reward_TK * logp_TV.gather(1, drawn_TK)).mean(1)
        loss_BL = torch.zeros_like(forward.logp_BL).masked_scatter(truth.mask_BL, loss_T)
        match_BL = torch.zeros_like(loss_BL).masked_scatter(truth.mask_BL, match_TK.to(loss_BL.dtype).mean(1))
        metrics = {"otr/match_share": masked_mean(match_BL, truth.mask_BL)}
        return self.regularised(loss_BL, forward, truth, metrics)

    def drawn(self, logp_TV: Tensor, truth: Batch) -> Tensor:
        """(T, K) int64: candidates of each position that is imitated; the same however rows are packed."""
        uniforms = []
        for b, mask_L in enumerate(truth.mask_BL):
            if bool(mask_L.any()):
                turn = int(truth.turn_BL[b][mask_L][0])
                seed = random.Random(f"{self._updates}/{int(truth.episode_B[b])}/{turn}").getrandbits(62)
                rng = torch.Generator().manual_seed(seed)
                uniforms.append(torch.rand(int(mask_L.sum()), self.config.candidates, generator=rng))
        if not uniforms:
            return torch.zeros(0, self.config.candidates, dtype=torch.int64, device=logp_TV.device)
        total_TV = torch.softmax(logp_TV, -1).cumsum(-1)
        # The sum of rounded shares is nearly 1; a draw above it would be of no token.
        found_TK = torch.cat(uniforms).to(logp_TV) * total_TV[:, -1:]
        return torch.searchsorted(total_TV, found_TK, right=True).clamp(max=logp_TV.shape[1] - 1)

    def update(self, learner: Learner, batches: Sequence[Batch]) -> Metrics:
        """One optimizer step with new candidates."""
        self._updates += 1
        return super().update(learner, batches)

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs to draw what an unbroken one draws."""
        return {"updates": self._updates}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self._updates = state.get("updates", 0)


def imitated(batch: Batch) -> Batch:
    """The batch as if only what is imitated, which has an advantage above 0, had been sampled."""
    return replace(batch, mask_BL=batch.mask_BL & (batch.advantage_BL > 0))
