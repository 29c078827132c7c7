"""Where what samples is not what learns: truncated and masked importance sampling, and rejection of whole sequences.

    r_t = pi_old(y_t) / mu(y_t)        mu sampled; pi_old is the trainer's policy before the step's first update
    w   = min(r, cap)                  TIS: of a token, or of its sequence, the product of its tokens'
    M   = 1 where low <= r <= high     MIS: of a token, its sequence, or the geometric mean of its sequence's tokens
    A'  = w M A,  and the ratio that the loss clips is pi / pi_old

Rule: a correction weighs advantages and moves the anchor of the ratio, so a loss that is linear in its advantages, as
policy gradients are, needs to know nothing of it. KL, entropy, values and imitated tokens are not weighed. What is
masked has no gradient and keeps its place in the divisor.

Sources: TIS and MIS as TRL and verl have them; the geometric mean and the veto are Dr. Kernel's MRS (arXiv 2602.05885);
`stale_nats` is DeepSeek-V3.2's mask. Ours: a sequence is an episode, all its sampled tokens over all its rows; the
defaults, which are verl's 2 and its inverse.

Shape suffixes: `B` rows, `L` tokens of a row, `E` episodes of a batch; (B, 1) is a number of a row's whole episode.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor

from trainers.batch import Batch
from trainers.sums import bounded, episode_means, episode_sums, masked_mean

__all__ = ["CorrectionConfig", "Level", "corrected", "mismatch", "ratios", "sequence_ratios", "unvetoed", "within"]

Level = Literal["token", "sequence", "geometric"]


class CorrectionConfig(BaseModel):
    """How a loss is put right for samples of another machine, precision or version."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    weight: Literal["none", "token", "sequence"] = "token"
    """Whose ratio pi_old / mu weighs an advantage: the token's, its whole sequence's, or nobody's."""
    cap: float = Field(2.0, gt=0)
    """Largest weight."""
    mask: Literal["none", "token", "sequence", "geometric"] = "none"
    """Whose ratio decides what is left out: the token's, its sequence's, or the geometric mean of its sequence's."""
    low: float = Field(0.5, ge=0)
    """Smallest ratio that `mask` keeps."""
    high: float = Field(2.0, gt=0)
    """Largest ratio that `mask` keeps."""
    veto: float = Field(0.0, ge=0, lt=1)
    """A sequence with a token whose ratio is below this is left out; 0 leaves out none for it."""
    stale_nats: float | None = Field(None, ge=0)
    """A sequence of negative advantage is left out where the mean of log(mu / pi) over its tokens is above this."""

    @model_validator(mode="after")
    def _keeps_something(self) -> CorrectionConfig:
        if self.mask != "none" and not self.low <= 1 <= self.high:
            raise ValueError(
                f"low = {self.low:g} and high = {self.high:g} leave out samples of the trainer's own policy, whose "
                "ratio is 1; 1 has to lie between them"
            )
        return self

    @property
    def pools_episodes(self) -> bool:
        """Whether all rows of an episode have to be read at once."""
        levels = (self.weight, self.mask)
        return "sequence" in levels or "geometric" in levels or self.veto > 0 or self.stale_nats is not None


def corrected(config: CorrectionConfig, logp_BL: Tensor, batch: Batch) -> tuple[Batch, dict[str, float]]:
    """The batch as the loss is to see it, and what was done. `logp_BL`: of the policy as it is."""
    logp_BL = logp_BL.detach().masked_fill(~batch.mask_BL, 0.0)
    before_BL = logp_BL if batch.before_BL is None else batch.before_BL.masked_fill(~batch.mask_BL, 0.0)
    gap_BL = mismatch(before_BL, batch)
    ratio_BL = torch.ones_like(gap_BL) if config.weight == "none" else ratios(config.weight, gap_BL, batch)
    keep_BL = torch.ones_like(batch.mask_BL)
    if config.mask != "none":
        keep_BL = keep_BL & within(ratios(config.mask, gap_BL, batch), config.low, config.high)
    if config.veto:
        keep_BL = keep_BL & unvetoed(gap_BL, config.veto, batch)
    if config.stale_nats is not None:
        drift_B1 = episode_means(-mismatch(logp_BL, batch), batch)
        keep_BL = keep_BL & ~((batch.advantage_BL < 0) & (drift_B1 > config.stale_nats))
    weight_BL = ratio_BL.clamp(max=config.cap).masked_fill(~keep_BL, 0.0)
    seen = {
        "correction/ratio_mean": masked_mean(gap_BL.exp(), batch.mask_BL),
        "correction/truncated_share": masked_mean((ratio_BL > config.cap).expand_as(keep_BL).float(), batch.mask_BL),
        "correction/masked_share": masked_mean((~keep_BL).float(), batch.mask_BL),
    }
    advantage_BL = batch.advantage_BL * weight_BL
    return replace(batch, behaviour_BL=before_BL, before_BL=before_BL, advantage_BL=advantage_BL), seen


def mismatch(logp_BL: Tensor, batch: Batch) -> Tensor:
    """(B, L): log(a policy / the one that sampled), bounded; 0 where mask is False."""
    return bounded((logp_BL - batch.behaviour_BL).masked_fill(~batch.mask_BL, 0.0))


def ratios(level: Level, gap_BL: Tensor, batch: Batch) -> Tensor:
    """(B, L) a token's ratio, or (B, 1) that of its episode: the product over its tokens, or their geometric mean."""
    if level == "token":
        return gap_BL.exp()
    if level == "geometric":
        return episode_means(gap_BL, batch).exp()
    ratio_E, index_B = sequence_ratios(gap_BL, batch)
    return ratio_E[index_B, None]


def sequence_ratios(gap_BL: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
    """(E,) each episode's ratio, the product over its tokens; (B,) each row's episode among them."""
    sums_E, index_B = episode_sums(gap_BL, batch)
    return bounded(sums_E).exp(), index_B


def within(ratio: Tensor, low: float, high: float) -> Tensor:
    """bool: which of these are kept."""
    return (ratio >= low) & (ratio <= high)


def unvetoed(gap_BL: Tensor, veto: float, batch: Batch) -> Tensor:
    """(B, 1) bool: whether no token of the row's episode has a ratio below `veto`."""
    vetoed_E, index_B = episode_sums((gap_BL.exp() < veto).to(gap_BL.dtype), batch)
    return (vetoed_E == 0)[index_B, None]
