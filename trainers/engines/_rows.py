"""Which sequence lies in which row of the cache: found by prefix, forked by copy, evicted when longest unused.

No session has a name here. A prompt that begins with the ids of a kept row continues that row; one that shares a part
copies the part; the rest is read anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from agents.types import Sample
from trainers.engines._kv import RowCache

__all__ = ["Request", "Row", "Rows", "common_prefix"]

_WORTH_WAITING_TOKENS = 32
"""A prompt waits for a row that is being read where that saves it at least so many tokens."""


@dataclass(slots=True, eq=False)
class Request:
    """One call of sample()."""

    prompt: list[int]
    max_tokens: int
    temperature: float
    uniforms: np.ndarray
    """(max_tokens,) float64 in [0, 1): the draws, one a token."""
    future: asyncio.Future[Sample]
    cancelled: bool = False
    version: int = -1
    ids: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)

    def begin_anew(self) -> None:
        """Nothing drawn so far counts; the same uniform numbers draw again."""
        self.ids.clear()
        self.logprobs.clear()


@dataclass(slots=True, eq=False)
class Row:
    """A row of the cache. Keys and values are there for ids[:length]; a busy row has at least one id more."""

    index: int
    ids: list[int] = field(default_factory=list)
    length: int = 0
    request: Request | None = None
    used: int = 0

    @property
    def missing(self) -> int:
        """Ids that are still to be read."""
        return len(self.ids) - self.length


class Rows:
    """All rows of a cache, in the order in which they lie there."""

    def __init__(self, cache: RowCache) -> None:
        self.cache = cache
        self.rows = [Row(index) for index in range(cache.rows)]
        self._clock = 0

    @property
    def busy(self) -> list[Row]:
        """Rows with a request, in cache order."""
        return [row for row in self.rows if row.request is not None]

    def admit(self, request: Request) -> Row | None:
        """The row that serves the request; None where all are busy, or one being read will soon serve it better."""
        prompt = request.prompt
        idle = [row for row in self.rows if row.request is None]
        if not idle:
            return None
        row = self._continued(idle, prompt)
        if row is None:
            best, shared = self._closest(prompt)
            if shared < 0:
                return None
            row = min(idle, key=lambda row: (row.length > 0, row.used))
            # Cutting the closest row back costs nothing; it goes that way only where it would be evicted anyway.
            if best is not None and best is not row:
                self.cache.copy(best.index, row.index, shared)
            row.length = shared
        row.length = min(row.length, len(prompt) - 1)  # the last id is read in any case: its logits are needed
        row.ids = list(prompt)
        row.request = request
        self._touch(row)
        return row

    def release(self, row: Row) -> None:
        """The request is over; what was read stays until it is evicted."""
        row.request = None
        row.ids = row.ids[: row.length]
        self._touch(row)

    def forget(self) -> None:
        """Nothing read so far counts, nor what was drawn after it: busy rows begin anew from their prompt."""
        for row in self.rows:
            row.length, row.ids = 0, []
            if row.request is not None:
                row.request.begin_anew()
                row.ids = list(row.request.prompt)

    def compact(self, active: Sequence[Row]) -> None:
        """Move the active rows to the front, so that they are contiguous."""
        wanted = set(active)
        holes = [row for row in self.rows[: len(active)] if row not in wanted]
        for row in active:
            if row.index < len(active):
                continue
            hole = holes.pop()
            if hole.length:
                self.cache.swap(row.index, hole.index, max(row.length, hole.length))
            else:
                self.cache.copy(row.index, hole.index, row.length)
            row.index, hole.index = hole.index, row.index
            self.rows[row.index], self.rows[hole.index] = row, hole

    def _touch(self, row: Row) -> None:
        self._clock += 1
        row.used = self._clock

    def _continued(self, idle: Sequence[Row], prompt: list[int]) -> Row | None:
        """The longest idle row that is a prefix of the prompt."""
        found = [
            row
            for row in idle
            if 0 < row.length <= len(prompt)
            and prompt[row.length - 1] == row.ids[-1]
            and prompt[: row.length] == row.ids
        ]
        return max(found, key=lambda row: row.length, default=None)

    def _closest(self, prompt: list[int]) -> tuple[Row | None, int]:
        """The row that shares the longest prefix and how much of it; (None, -1) where waiting for one is better."""
        best, shared, promised = None, 0, 0
        for row in self.rows:
            if not row.ids or row.ids[0] != prompt[0]:
                continue
            alike = common_prefix(row.ids, prompt)
            if min(alike, row.length) > shared:
                best, shared = row, min(alike, row.length)
            if row.request is not None:
                promised = max(promised, min(alike, len(row.ids) - 1))
        if promised >= shared + _WORTH_WAITING_TOKENS:
            return None, -1
        return best, shared


def common_prefix(one: Sequence[int], other: Sequence[int]) -> int:
    """Length of the longest prefix the two share."""
    low, high = 0, min(len(one), len(other))
    if one[:high] == other[:high]:
        return high
    while high - low > 1:
        middle = (low + high) // 2
        if one[low:middle] == other[low:middle]:
            low = middle
        else:
            high = middle
    return low
