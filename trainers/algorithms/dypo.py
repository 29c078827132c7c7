"""DYPO: dynamic policy optimization over queries graded by their own rollouts (arXiv 2604.08926).

    a group is easy where all solved their task, hard where none did, else mid
    loss = E over groups [ hard: gamma L_SFT;  mid: alpha L_GRPO + (1 - alpha) L_GAL;  easy: 0 ]
    L_SFT = -log pi(the expert's episode)
    L_GAL = mean over pairs (s solved, f failed) of -log sigmoid(beta (l_s - l_f)),  l_i = log(pi(y_i) / pi_ref(y_i))

Where the policy never succeeds it is shown how; where it does now and then, its successes are set against its failures.
The paper's: that, alpha 0.5, beta 1, 8 rollouts a query, pi_ref frozen.
Not in the paper: gamma, the clip, the weight of a KL. Ours: gamma 1, the clip 0.2, no KL; L_SFT is the mean over its
tokens. The paper draws one of several teachers' episodes; here the world has one expert. A task is hard where no
episode solved it and all returns are equal, so that GRPO has nothing to say either; an episode stands on the side of
its group's mean that its return is on. A hard task that the expert does not solve teaches nothing.
"""

from __future__ import annotations

from dataclasses import replace
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Group, Metrics, Need, alike
from trainers.batch import Batch
from trainers.grouped import Grouped, Rivals, rivals, to_reference

__all__ = ["Dypo"]


class DypoConfig(AlgorithmConfig):
    """DYPO's settings."""

    name: str = "dypo"
    """The algorithm's registry name."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """Of L_GRPO; and what a group weighs among groups: its episodes, or with "token" its tokens."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Share of L_GRPO in a mid group's loss; the rest is L_GAL's."""
    beta: float = Field(1.0, gt=0)
    """Steepness of L_GAL, in 1 / nats."""
    gamma: float = Field(1.0, ge=0)
    """Weight of L_SFT in a hard group's loss."""


class Dypo(Grouped):
    """Shown where it is lost, contrasted where it is undecided, left alone where it knows."""

    Config: ClassVar[type[AlgorithmConfig]] = DypoConfig
    config: DypoConfig

    @property
    def needs(self) -> frozenset[Need]:
        """The reference, always."""
        return super().needs | {"reference"}

    @property
    def skips_zero(self) -> bool:
        """Whether easy groups, and hard ones that nobody could show, have no gradient."""
        return not (self.config.kl or self.config.entropy)

    def asks(self, group: Group) -> bool:
        """Whether the task was hard."""
        return alike(group.returns) and not any(episode.success for episode in group.episodes)

    def compared(self, group: Rivals) -> Tensor:
        """Scalar: L_GAL, the mean over the pairs; 0 where there are none."""
        solved_S, failed_F = group.log_ratio_E[group.label_E > 0], group.log_ratio_E[group.label_E < 0]
        gap_SF = solved_S[:, None] - failed_F
        return torch.nn.functional.softplus(-self.config.beta * gap_SF).sum() / max(gap_SF.numel(), 1)

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: the loss of each group by its grade. Raises ValueError where the reference is missing."""
        gap_BL = to_reference(forward, batch, self.config.name)
        shown_B1 = batch.shown_B[:, None]
        contrast = imitation = gap_BL.sum() * 0.0
        for group in torch.unique(batch.group_B):
            here_B = batch.group_B == group
            share = self.weight(batch.rows(here_B)) / max(self.weight(batch), 1)
            played_B = here_B & ~batch.shown_B
            if bool(played_B.any()):
                part = batch.rows(played_B)
                contrast = contrast + share * self.compared(rivals(gap_BL[played_B][:, : part.mask_BL.shape[1]], part))
            taught_BL = batch.mask_BL & shown_B1 & here_B[:, None]
            if bool(taught_BL.any()):
                imitation = imitation - share * forward.logp_BL[taught_BL].mean()
        # What is shown has no sampler: a ratio of 1, no advantage, so that it keeps its place in the divisor only.
        played = replace(
            batch,
            behaviour_BL=torch.where(shown_B1, forward.logp_BL.detach(), batch.behaviour_BL),
            advantage_BL=(self.config.alpha * batch.advantage_BL).masked_fill(shown_B1, 0.0),
        )
        surrogate, metrics = Algorithm.loss(self, forward, played)
        total = surrogate + (1 - self.config.alpha) * contrast + self.config.gamma * imitation
        metrics |= {
            "loss/policy": float(total.detach()),
            "loss/contrast": float(contrast.detach()),
            "loss/imitation": float(imitation.detach()),
        }
        return total, metrics
