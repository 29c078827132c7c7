"""Whether an output is the expected one: bytes against bytes, by dtype.

|given - expected| <= t * (min(1, rms) + |expected|), where rms is the root mean square of the expected output, so that
small outputs are not right by being small.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch

__all__ = ["Expected", "difference", "tensor"]


@dataclass(frozen=True)
class Expected:
    """What one call of the reference gave."""

    outputs: tuple[bytes, ...]
    specs: tuple[dict[str, Any], ...]
    finite: bool

    def numel(self, at: int) -> int:
        found = 1
        for size in self.specs[at]["shape"]:
            found *= size
        return found


def tensor(data: bytes, dtype: str) -> torch.Tensor:
    """Bytes as a flat tensor; they are not written to."""
    if not data:
        return torch.empty(0, dtype=getattr(torch, dtype))
    return torch.frombuffer(bytearray(data), dtype=getattr(torch, dtype))


def difference(given: bytes, expected: bytes, dtype: str, tolerances: dict[str, float]) -> tuple[str, str]:
    """Kind and sentence of what differs; two empty texts where nothing does."""
    if given == expected:
        return "", ""
    mine, theirs = tensor(given, dtype), tensor(expected, dtype)
    if not (mine.is_floating_point() or mine.is_complex()):
        wrong = mine != theirs
        return "values", _where(wrong, mine, theirs)
    if mine.is_complex():
        mine, theirs = torch.view_as_real(mine).flatten(), torch.view_as_real(theirs).flatten()
    mine, theirs = mine.double(), theirs.double()
    finite = torch.isfinite(theirs)
    odd = ~torch.isfinite(mine) & finite
    if odd.any():
        return (
            "nonfinite",
            f"{int(odd.sum())} of {len(odd)} elements are NaN or infinite where the reference's are finite.",
        )
    if not finite.all():
        lost = ~finite & ~((mine == theirs) | (mine.isnan() & theirs.isnan()))
        if lost.any():
            return "values", f"{int(lost.sum())} elements are not the infinities or NaN of the reference."
        mine, theirs = mine[finite], theirs[finite]
    level = tolerances.get(dtype, 1e-4)
    rms = float(theirs.square().mean().sqrt()) if len(theirs) else 0.0
    wrong = (mine - theirs).abs() > level * (min(1.0, rms) + theirs.abs())
    return ("values", _where(wrong, mine, theirs)) if wrong.any() else ("", "")


def _where(wrong: torch.Tensor, mine: torch.Tensor, theirs: torch.Tensor) -> str:
    first = int(wrong.nonzero()[0])
    largest = float((mine.double() - theirs.double()).abs().max())
    return (
        f"{int(wrong.sum())} of {len(wrong)} elements are wrong; the first, in flat order {first}, is "
        f"{mine[first].item():.6g} and should be {theirs[first].item():.6g}; the largest difference is {largest:.3g}."
    )
