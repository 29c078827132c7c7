"""Every representative in memory, compared one by one: exact, and quick enough for some thousands."""

from __future__ import annotations

import numpy as np
import sqlalchemy as sa

from skills_db.indexes.base import Ids, Index, Space
from skills_db.vectors import Rows, Vector

__all__ = ["Exact"]


class Exact(Index):
    """A matrix times a vector."""

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        self._count = 0
        self._ids: Ids = np.empty(64, np.int64)
        self._rows_ND: Rows = np.empty((64, space.dimensions), np.float32)

    def __len__(self) -> int:
        return self._count

    def add(self, connection: sa.Connection | None, ids: Ids, rows_ND: Rows) -> None:
        """Take in clusters."""
        wanted = self._count + len(ids)
        if wanted > len(self._ids):  # doubled, so that adding one by one does not copy all each time
            room = max(wanted, 2 * len(self._ids)) - len(self._ids)
            self._ids = np.concatenate([self._ids, np.empty(room, np.int64)])
            self._rows_ND = np.concatenate([self._rows_ND, np.empty((room, self.space.dimensions), np.float32)])
        self._ids[self._count : wanted] = ids
        self._rows_ND[self._count : wanted] = rows_ND
        self._count = wanted

    def nearest(self, connection: sa.Connection | None, vector_D: Vector, count: int) -> Ids:
        """Up to `count` clusters, the nearest first; of equals the older one."""
        similar_N = self._rows_ND[: self._count] @ vector_D
        if count < self._count:
            kept = np.argpartition(-similar_N, count - 1)[:count]
            kept = np.flatnonzero(similar_N >= similar_N[kept].min())  # equals at the edge too, for the older one
        else:
            kept = np.arange(self._count)
        order = kept[np.argsort(-similar_N[kept], kind="stable")][:count]
        found: Ids = self._ids[order]
        return found

    def all(self) -> tuple[Ids, Rows]:
        """(N,) ids and (N, D) rows."""
        return self._ids[: self._count], self._rows_ND[: self._count]
