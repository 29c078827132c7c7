"""What an index over the representatives of one environment's clusters is.

An index is a cache: SQL holds every vector, and an index that is lost or behind reads on from the last id it has. That
is enough, since clusters are never changed nor deleted and an environment's ids are committed in order.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from skills_db.tables import CLUSTERS
from skills_db.vectors import Rows, Vector, unpack_vectors

__all__ = ["Ids", "Index", "Space", "read_rows"]

Ids = npt.NDArray[np.int64]

_READ_ROWS = 8192

# Made once: to put a statement together takes longer than to run it.
_BOTH = sa.select(CLUSTERS.c.id, CLUSTERS.c.vector)
_SINCE = (
    _BOTH.where(CLUSTERS.c.env == sa.bindparam("env"), CLUSTERS.c.embedder == sa.bindparam("embedder"))
    .where(CLUSTERS.c.id > sa.bindparam("last"))
    .order_by(CLUSTERS.c.id)
    .limit(_READ_ROWS)
)
_NAMED = _BOTH.where(CLUSTERS.c.id.in_(sa.bindparam("ids", expanding=True)))


@dataclass(frozen=True, slots=True)
class Space:
    """Vectors that are compared with each other."""

    env: str
    embedder: str
    dimensions: int


class Index(ABC):
    """Nearest representatives."""

    def __init__(self, space: Space) -> None:
        self.space = space
        self.last = 0
        """The newest cluster it knows."""

    @abstractmethod
    def add(self, connection: sa.Connection | None, ids: Ids, rows_ND: Rows) -> None:
        """Take in clusters, each once, in the order of their ids."""

    @abstractmethod
    def nearest(self, connection: sa.Connection, vector_D: Vector, count: int) -> Ids:
        """Up to `count` clusters, the nearest first; an approximate index may miss some."""

    def read(self, connection: sa.Connection) -> None:
        """Take in what was committed since."""
        whose = {"env": self.space.env, "embedder": self.space.embedder}
        while True:
            found = connection.execute(_SINCE, whose | {"last": self.last}).all()
            if found:
                ids = np.array([row.id for row in found], np.int64)
                self.add(connection, ids, unpack_vectors([row.vector for row in found], self.space.dimensions))
                self.last = int(ids[-1])
            if len(found) < _READ_ROWS:
                return


def read_rows(connection: sa.Connection, ids: Ids, dimensions: int) -> tuple[Ids, Rows]:
    """(n,) of the clusters `ids` that are there, and their (n, D) vectors as SQL has them."""
    found = connection.execute(_NAMED, {"ids": ids.tolist()}).all()
    return np.array([row.id for row in found], np.int64), unpack_vectors([row.vector for row in found], dimensions)
