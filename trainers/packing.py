"""Rows of different lengths side by side in rows of one length, so that little of a pass is padding.

Attention stays within a row and positions begin at 0 in each, so what is read of a row does not depend on its
neighbours. A long row is as long as the longest one of the batch: never more is computed than with padding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Bins", "Packed", "pack"]


class Bins:
    """Bins of one size that are filled first fit."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._free: list[int] = []

    def __len__(self) -> int:
        return len(self._free)

    def put(self, length: int) -> tuple[int, int]:
        """The bin that takes it and where in it; a new one where none has room."""
        for number, free in enumerate(self._free):
            if length <= free:
                self._free[number] -= length
                return number, self.size - free
        self._free.append(self.size - length)
        return len(self._free) - 1, 0


@dataclass(frozen=True, slots=True)
class Packed:
    """R long rows of K tokens, and where each token of B rows of L went."""

    ids_RK: Tensor
    position_RK: Tensor
    """Within the token's own row."""
    row_RK: Tensor
    """Which row it is of; -1 for padding."""
    place_BL: Tensor
    """Index into the long rows, laid end to end; 0 for padding."""

    def mask(self, dtype: torch.dtype) -> Tensor:
        """(R, 1, K, K), added to attention's scores: 0 for what a token may see, the least number for the rest."""
        same_RKK = self.row_RK[:, :, None] == self.row_RK[:, None, :]
        seen_RKK = same_RKK & (self.position_RK[:, :, None] >= self.position_RK[:, None, :])
        hidden = torch.zeros(seen_RKK.shape, dtype=dtype, device=seen_RKK.device)
        return hidden.masked_fill_(~seen_RKK, torch.finfo(dtype).min)[:, None]

    def unpacked(self, states_RKX: Tensor) -> Tensor:
        """(B, L, X): each row's states again; what stands at padding means nothing."""
        return states_RKX.flatten(0, 1)[self.place_BL]


def pack(ids_BL: Tensor, lengths: Sequence[int]) -> Packed | None:
    """The rows, longest first, each where it first fits; None where that saves no row."""
    size = max(lengths)
    bins = Bins(size)
    places = {b: bins.put(lengths[b]) for b in sorted(range(len(lengths)), key=lambda b: -lengths[b])}
    if len(bins) == len(lengths):
        return None
    device, shape = ids_BL.device, (len(bins), size)
    # Padding is a row of its own at the end of a long one: it sees itself, and nobody sees it.
    ids_RK = torch.zeros(shape, dtype=ids_BL.dtype, device=device)
    position_RK = torch.arange(size, device=device).repeat(len(bins), 1)
    row_RK = torch.full(shape, -1, device=device)
    place_BL = torch.zeros_like(ids_BL)
    for b, (number, start) in places.items():
        n = lengths[b]
        ids_RK[number, start : start + n] = ids_BL[b, :n]
        position_RK[number, start : start + n] = torch.arange(n, device=device)
        row_RK[number, start : start + n] = b
        place_BL[b, :n] = number * size + start + torch.arange(n, device=device)
    return Packed(ids_RK, position_RK, row_RK, place_BL)
