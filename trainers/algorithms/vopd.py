"""vOPD: on-policy distillation with a control variate (arXiv 2605.07865).

    r_t = log pi_T(y_t) - log pi_S(y_t)                          the student pi_S sampled y_t, the teacher pi_T reads it
    V_t = E_{y ~ pi_S}[r_t] = -KL(pi_S || pi_T) at t             in closed form, from both distributions
    A_t = r_t - V_t,  loss = -mean_t A_t log pi_S(y_t)

The baseline changes no gradient on average and takes the part of its variance away that is the same whatever is drawn.
The paper's: that; without the baseline (`baseline = "none"`) it is on-policy distillation by samples; the KL over the
student's likeliest `top` ids, both distributions renormalised on them; an advantage of the task's own reward on top.
Not in what this is written from, abstract and code: the tables, the models. Ours: A_t is computed once a step, before
its first update; the loss is the clipped surrogate, of the same gradient at that update; the token mean; the teacher
reads at the sampler's temperature; the reward's advantage is GRPO's, weighed by `reward`, 0. The exact reverse KL as a
loss and clipped rewards are not built.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Need
from trainers.batch import Batch
from trainers.mentor import Mentor, common

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["Vopd"]


class VopdConfig(AlgorithmConfig):
    """vOPD's settings."""

    name: str = "vopd"
    """The algorithm's registry name."""
    teacher: Path | None = None
    """The teacher: a directory of a model with the policy's tokenizer. Always to be given."""
    teacher_dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the teacher's weights."""
    baseline: Literal["value", "none"] = "value"
    """What a token's reward is compared with: its expectation, or nothing."""
    top: int = Field(0, ge=0)
    """The expectation is over so many of the student's likeliest ids; 0: over all."""
    reward: float = Field(0.0, ge=0)
    """Weight of the advantage of the task's own reward beside the teacher's."""


class Vopd(Algorithm):
    """A teacher says of each token how much likelier it would have been."""

    Config: ClassVar[type[AlgorithmConfig]] = VopdConfig
    config: VopdConfig
    raw_credit = True

    def __init__(self, config: Any, pool: Any) -> None:
        super().__init__(config, pool)
        self.mentor: Mentor | None = None

    @property
    def keeps(self) -> frozenset[Need]:
        """The whole distribution at each token, in `prepare`."""
        return super().keeps | {"distribution"}

    @property
    def teacher(self) -> tuple[Path, str] | None:
        return None if self.config.teacher is None else (self.config.teacher, self.config.teacher_dtype)

    def meet(self, tokenizer: Any) -> None:
        """Load the teacher. Raises ValueError where there is none or it has another tokenizer."""
        if self.config.teacher is None:
            raise ValueError("vopd learns from a teacher; give algorithm.teacher=DIR, a model with this tokenizer")
        self.mentor = Mentor(self.config.teacher, tokenizer, dtype=self.config.teacher_dtype)

    def prepare(self, learner: Learner, batches: Sequence[Batch]) -> list[Batch]:
        """The same batches with advantages a token."""
        return [self._taught(learner, batch) for batch in batches]

    @torch.no_grad()
    def _taught(self, learner: Learner, batch: Batch) -> Batch:
        assert self.mentor is not None, "vopd has not met its teacher"
        student_SV = learner.forward(batch, frozenset({"distribution"})).distribution_SV
        assert student_SV is not None
        teacher_SV = self.mentor.distribution(batch, learner.device)
        advantage_S = self.advantage(*common(student_SV, teacher_SV), batch.ids_BL[batch.mask_BL])
        taught_BL = torch.zeros_like(batch.advantage_BL).masked_scatter(batch.mask_BL, advantage_S)
        return replace(batch, advantage_BL=taught_BL + self.config.reward * batch.advantage_BL)

    def advantage(self, student_SV: Tensor, teacher_SV: Tensor, ids_S: Tensor) -> Tensor:
        """(S,): r - V of the ids that were sampled, of two distributions over the same ids, in nats."""
        gap_SV = teacher_SV - student_SV
        reward_S = gap_SV.gather(1, ids_S[:, None]).squeeze(1)
        if self.config.baseline == "none":
            return reward_S
        if self.config.top and self.config.top < student_SV.shape[1]:
            student_SV, likeliest_SK = student_SV.topk(self.config.top, dim=1)
            student_SV = torch.log_softmax(student_SV, -1)
            gap_SV = torch.log_softmax(teacher_SV.gather(1, likeliest_SK), -1) - student_SV
        return reward_S - (student_SV.exp() * gap_SV).sum(1)
