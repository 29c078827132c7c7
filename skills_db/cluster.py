"""Which situations are alike: the nearest representative at or above delta, else a cluster of its own.

After SLEA-RL (arXiv 2603.18079): c(o) = c_i where sim(o, rep(c_i)) >= delta, else o opens a cluster and represents it;
delta 0.85 is the paper's. Cosine similarity of an Embedder's vectors is ours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from skills_db import blobs

__all__ = ["DELTA", "Vectors", "nearest"]

DELTA = 0.85


class Vectors:
    """The vectors of one table, environment and embedder, read once and then only what was added.

    Rows are never changed nor deleted, and whoever adds them sees to it that an environment's ids are committed in
    order, so reading on from the last id is enough.
    """

    def __init__(self, table: sa.Table, env: str, embedder: str, dimensions: int) -> None:
        self._query = sa.select(table.c.id, table.c.vector).where(table.c.env == env, table.c.embedder == embedder)
        self._id: Any = table.c.id
        self.ids: npt.NDArray[np.int64] = np.empty(0, np.int64)
        """(N,)"""
        self.rows_ND: npt.NDArray[np.float32] = np.empty((0, dimensions), np.float32)

    def read(self, connection: sa.Connection) -> None:
        """Read what was added."""
        last = int(self.ids[-1]) if len(self.ids) else 0
        found = connection.execute(self._query.where(self._id > last).order_by(self._id)).all()
        if found:
            self.ids = np.concatenate([self.ids, np.array([row.id for row in found], np.int64)])
            self.rows_ND = np.concatenate([self.rows_ND, np.stack([blobs.unpack_floats(row.vector) for row in found])])


def nearest(vector_D: npt.NDArray[np.float32], rows_ND: npt.NDArray[np.float32]) -> tuple[int, float] | None:
    """(row, cosine similarity) of the row nearest to a unit vector; None where there is no row."""
    if not len(rows_ND):
        return None
    similar_N = rows_ND @ vector_D
    best = int(np.argmax(similar_N))
    return best, float(similar_N[best])
