"""Segments as padded tensors, and the only shift between logits and ids in the code.

Shape suffixes: `B` rows, `L` tokens of a row, `V` vocabulary. Log-probabilities in nats.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from trainers.segments import Segment

__all__ = ["Batch", "Read", "Row", "collate", "preceding", "sampled_logprobs", "token_entropies", "token_logprobs"]


@dataclass(frozen=True, slots=True)
class Row:
    """One segment and where it comes from."""

    segment: Segment
    episode: int
    """Index of the episode in the step, over all groups."""
    group: int
    """Index of the group in the step."""
    ret: float
    """The episode's shaped return."""
    temperature: float = 1.0
    """Of the distribution the ids were sampled from."""
    shown: bool = False
    """Whether an expert said it, and not the policy."""
    versions: Sequence[int] = ()
    """Of the weights that drew each turn of the episode; empty where that is not known."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one forward pass, padded on the right."""

    ids_BL: Tensor
    """int64; 0 on padding."""
    real_BL: Tensor
    """bool; False on padding."""
    mask_BL: Tensor
    """bool; True where the policy sampled the id."""
    behaviour_BL: Tensor
    """float32 nats of the sampling distribution; 0 where mask is False."""
    advantage_BL: Tensor
    """float32; 0 where mask is False."""
    turn_BL: Tensor
    """int64 index of the turn within its episode; -1 where mask is False."""
    episode_B: Tensor
    """int64"""
    group_B: Tensor
    """int64"""
    return_B: Tensor
    """float32"""
    temperature_B: Tensor
    """float32"""
    shown_B: Tensor
    """bool; True where an expert said it: such a row has no behaviour to compare with."""
    scale: float = 1.0
    """This batch's share of its minibatch's loss: `Algorithm.weight` over that of the minibatch."""
    before_BL: Tensor | None = None
    """float32 nats; the trainer's own log-probabilities of the ids, as they were before the step's first update."""
    value_BL: Tensor | None = None
    """float32; a critic's value before ids[b, t] was sampled, as it was before the step's first update."""
    target_BL: Tensor | None = None
    """float32; the return that the critic learns to foretell."""

    @property
    def sampled_tokens(self) -> int:
        """How many ids of this batch the policy sampled."""
        return int(self.mask_BL.sum())

    def rows(self, keep_B: Tensor) -> Batch:
        """The rows where `keep_B` is True, without the padding that they do not need; the scale stays."""
        length = int(self.real_BL[keep_B].sum(1).max())
        found = {
            name: value[keep_B][:, :length] if value.ndim == 2 else value[keep_B]
            for name in self.__dataclass_fields__
            if isinstance(value := getattr(self, name), Tensor)
        }
        return Batch(**found, scale=self.scale)

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        moved = {
            name: getattr(self, name).to(device)
            for name in self.__dataclass_fields__
            if isinstance(getattr(self, name), Tensor)
        }
        return Batch(**moved, scale=self.scale)


def collate(rows: Sequence[Row], *, scale: float = 1.0) -> Batch:
    """Rows as one Batch (B, L), L the longest row. Raises ValueError on no rows."""
    if not rows:
        raise ValueError("a batch needs at least one row")
    length = max(len(row.segment) for row in rows)

    def pad(values: Sequence[Sequence[float]], fill: float, dtype: torch.dtype) -> Tensor:
        out = torch.full((len(values), length), fill, dtype=dtype)
        for b, row in enumerate(values):
            out[b, : len(row)] = torch.tensor(row, dtype=dtype)
        return out

    found = [row.segment for row in rows]
    return Batch(
        ids_BL=pad([s.ids for s in found], 0, torch.int64),
        real_BL=pad([[True] * len(s) for s in found], False, torch.bool),
        mask_BL=pad([s.mask for s in found], False, torch.bool),
        behaviour_BL=pad([s.logprobs for s in found], 0.0, torch.float32),
        advantage_BL=pad([s.advantages for s in found], 0.0, torch.float32),
        turn_BL=pad([s.turns for s in found], -1, torch.int64),
        episode_B=torch.tensor([row.episode for row in rows]),
        group_B=torch.tensor([row.group for row in rows]),
        return_B=torch.tensor([row.ret for row in rows], dtype=torch.float32),
        temperature_B=torch.tensor([row.temperature for row in rows], dtype=torch.float32),
        shown_B=torch.tensor([row.shown for row in rows]),
        scale=scale,
    )


def token_logprobs(logits_BLV: Tensor, ids_BL: Tensor) -> Tensor:
    """(B, L) nats: [b, t] = log p(ids[b, t] | ids[b, :t]); [:, 0] = 0, for nothing precedes it."""
    logits_BMV, ids_BM = _paired(logits_BLV, ids_BL)
    return _unpaired(torch.log_softmax(logits_BMV.float(), -1).gather(-1, ids_BM[..., None]).squeeze(-1))


def token_entropies(logits_BLV: Tensor) -> Tensor:
    """(B, L) nats: [b, t] = entropy of the distribution that ids[b, t] was drawn from; [:, 0] = 0."""
    logp_BMV = torch.log_softmax(_paired(logits_BLV)[0].float(), -1)
    return _unpaired(-(logp_BMV.exp() * logp_BMV).sum(-1))


def preceding(values_BL: Tensor) -> Tensor:
    """(B, L): [b, t] = the value at the state that ids[b, t] was drawn from; [:, 0] = 0."""
    return _unpaired(_paired(values_BL)[0])


class Read(NamedTuple):
    """What a policy says of the ids that were sampled, (B, L) and 0 elsewhere; None unless asked for."""

    logp_BL: Tensor
    """float32 nats."""
    entropy_BL: Tensor | None
    """float32 nats, of the distribution the id was drawn from."""
    greedy_BL: Tensor | None
    """bool; True where the id is the likeliest one."""
    distribution_SV: Tensor | None
    """float32 nats of all ids at the sampled positions, row after row."""


def sampled_logprobs(
    hidden_BLD: Tensor,
    head: Callable[[Tensor], Tensor],
    ids_BL: Tensor,
    mask_BL: Tensor,
    temperature_B: Tensor,
    needs: frozenset[str] = frozenset(),
) -> Read:
    """Log-probabilities, and what else `needs` names ("entropy", "greedy", "distribution"), where the policy sampled.

    `head` maps hidden states (S, D) to logits (S, V) and sees only the S states it is needed for: over long
    observations that saves most of the work. Equal to token_logprobs(logits / temperature, ids) where mask is True.
    """
    hidden_BMD, ids_BM, mask_BM = _paired(hidden_BLD, ids_BL, mask_BL)
    ids_S = ids_BM[mask_BM]
    logits_SV = head(hidden_BMD[mask_BM]).float() / temperature_B[mask_BM.nonzero(as_tuple=True)[0], None]
    logp_SV = torch.log_softmax(logits_SV, -1)

    def placed(values_S: Tensor) -> Tensor:
        empty_BM = torch.zeros(mask_BM.shape, dtype=values_S.dtype, device=values_S.device)
        return _unpaired(empty_BM.masked_scatter(mask_BM, values_S))

    return Read(
        logp_BL=placed(logp_SV.gather(-1, ids_S[:, None]).squeeze(-1)),
        entropy_BL=placed(-(logp_SV.exp() * logp_SV).sum(-1)) if "entropy" in needs else None,
        greedy_BL=placed(logp_SV.argmax(-1) == ids_S) if "greedy" in needs else None,
        distribution_SV=logp_SV if "distribution" in needs else None,
    )


def _paired(states: Tensor, *ids: Tensor) -> tuple[Tensor, ...]:
    """The shift: what is known after ids[:, :t] stands at t - 1, and is paired with what is at t. M = L - 1."""
    return states[:, :-1], *(values[:, 1:] for values in ids)


def _unpaired(values_BM: Tensor) -> Tensor:
    """Back to one value an id: (B, L)."""
    return torch.nn.functional.pad(values_BM, (1, 0))
