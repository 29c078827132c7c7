"""What the learner of a run can be told: pydantic, frozen, unknown keys refused, no import of torch."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

__all__ = ["LearnerConfig"]


class LearnerConfig(BaseModel):
    """How gradients become weights."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    lr: float = Field(1e-4, gt=0)
    """Peak learning rate of the policy."""
    critic_lr: float | None = Field(None, gt=0)
    """Of the critic; none: ten times `lr`."""
    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay rates."""
    weight_decay: float = Field(0.0, ge=0)
    """AdamW's, on matrices only."""
    grad_clip: float = Field(1.0, gt=0)
    """Largest norm of the gradient; policy and critic are clipped apart."""
    warmup_steps: int = Field(0, ge=0)
    """Optimizer steps of linear warm-up."""
    schedule: Literal["constant", "cosine", "linear"] = "constant"
    """What follows the warm-up; cosine and linear end at `floor` of the peak."""
    total_steps: int | None = Field(None, ge=1)
    """Optimizer steps at which cosine and linear end."""
    floor: float = Field(0.1, ge=0, le=1)
    """Share of the peak learning rate at which cosine and linear end."""
    micro_tokens: int = Field(8192, ge=16)
    """At most so many tokens, padding included, in one forward and backward pass of one process."""
    autocast: bool = False
    """Compute in bfloat16 with float32 weights, logits in float32 all the same; for GPUs."""
    packing: bool = False
    """Lay rows of different lengths side by side in long ones instead of padding each: the same log-probabilities. It
    pays where lengths differ much within a batch, and its mask costs the fast kernels of plain causal attention. A
    critic and a teacher read padded rows, so with one of them no batch is filled beyond what fits padded."""
    recompute: bool = False
    """Of each layer keep only what enters it, and compute the rest again on the way back: the same gradients for a
    third more compute and a fraction of the memory."""

    @model_validator(mode="after")
    def _ends(self) -> LearnerConfig:
        if self.schedule != "constant" and self.total_steps is None:
            raise ValueError(f"schedule = '{self.schedule}' needs total_steps")
        return self
