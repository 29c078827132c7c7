"""Arrays as bytes: one tag byte, then little-endian int32 or float32, deflated only where that pays.

A prompt that grows turn by turn is kept as its difference to the turn before it (`delta`, `undelta`), so an episode's
tokens cost what they measure once, and not once a turn.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

__all__ = ["delta", "pack_floats", "pack_ints", "undelta", "unpack_floats", "unpack_ints"]

Ints = npt.NDArray[np.int32]
Floats = npt.NDArray[np.float32]

_RAW, _DEFLATED = b"\x00", b"\x01"
_WORTH_TRYING_BYTES = 64
"""Below this, deflate's own header eats the gain."""


def pack_ints(values: Sequence[int] | Ints) -> bytes:
    """(L,) as bytes; empty stays empty. Raises OverflowError where a value does not fit 32 bits."""
    return _pack(np.asarray(values, dtype="<i4").tobytes())


def unpack_ints(blob: bytes) -> Ints:
    """(L,) int32."""
    return np.frombuffer(_unpack(blob), dtype="<i4").astype(np.int32, copy=False)


def pack_floats(values: Sequence[float] | Floats) -> bytes:
    """(L,) as bytes; empty stays empty."""
    return _pack(np.asarray(values, dtype="<f4").tobytes())


def unpack_floats(blob: bytes) -> Floats:
    """(L,) float32."""
    return np.frombuffer(_unpack(blob), dtype="<f4").astype(np.float32, copy=False)


def delta(before: Ints, prompt: Ints) -> tuple[int, Ints]:
    """How many leading ids `prompt` shares with `before` (the last prompt and its sample), and the ids after them."""
    n = min(len(before), len(prompt))
    differ = np.flatnonzero(before[:n] != prompt[:n])
    shared = int(differ[0]) if len(differ) else n
    return shared, prompt[shared:]


def undelta(before: Ints, shared: int, tail: Ints) -> Ints:
    """The prompt that `delta` took apart."""
    return np.concatenate([before[:shared], tail])


def _pack(raw: bytes) -> bytes:
    if not raw:
        return b""
    if len(raw) >= _WORTH_TRYING_BYTES:
        deflated = zlib.compress(raw, 1)
        if len(deflated) < 0.9 * len(raw):
            return _DEFLATED + deflated
    return _RAW + raw


def _unpack(blob: bytes) -> bytes:
    if not blob:
        return b""
    return zlib.decompress(blob[1:]) if blob[:1] == _DEFLATED else bytes(blob[1:])
