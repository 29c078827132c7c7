"""Which situations are alike: the nearest representative at or above delta, else a cluster of its own.

After SLEA-RL (arXiv 2603.18079): c(o) = c_i where sim(o, rep(c_i)) >= delta, else o opens a cluster and represents it;
delta 0.85 is the paper's. Cosine similarity of an Embedder's vectors is ours, and so is the index that proposes the
candidates: pgvector in a server that has it, else usearch where it is installed, else all of them. Which of the
candidates is nearest is always computed from the vectors in SQL.
"""

from __future__ import annotations

import hashlib
import importlib.util
import os
import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sqlalchemy as sa

from skills_db.database import Database
from skills_db.embedders.base import Embedder
from skills_db.indexes.base import Ids, Index, Space, read_rows
from skills_db.indexes.exact import Exact
from skills_db.indexes.pgvector import Pgvector, has_extension
from skills_db.tables import CLUSTERS
from skills_db.vectors import Rows, Vector, pack_vector, unpack_vectors

__all__ = ["DELTA", "INDEXES", "Around", "Clusters"]

DELTA = 0.85
INDEXES = ("exact", "hnsw", "pgvector")
CANDIDATES = 8
"""So many of an index's nearest are compared by their vectors in SQL."""


@dataclass(frozen=True, slots=True)
class Around:
    """The clusters around a vector."""

    ids: Ids
    """The nearest first."""
    best: tuple[int, float] | None
    """(cluster, cosine similarity) of the nearest representative; None where there is none."""


Opened = weakref.WeakKeyDictionary[sa.Connection, dict[str, tuple[Index, Exact]]]


class Clusters:
    """The clusters of one database and embedder; to be shared by threads."""

    def __init__(self, database: Database, embedder: Embedder, delta: float = DELTA, index: str | None = None) -> None:
        self.embedder = embedder
        self.delta = delta
        self._database = database
        self._kind = index
        self._server: dict[str, Pgvector] = {}
        self._memory: dict[str, Index] = {}
        self._opened: Opened = weakref.WeakKeyDictionary()
        self._lock = threading.RLock()  # never held where SQL may wait for another transaction

    @property
    def kind(self) -> str | None:
        """One of INDEXES, once there was something to look for."""
        return self._kind

    def near(self, connection: sa.Connection, env: str, vector_D: Vector, count: int) -> Ids:
        """Up to `count` clusters, the nearest first."""
        server = self.in_server(connection, env)
        if server is not None:
            return server.nearest(connection, vector_D, count)
        with self._lock:
            memory = self._in_memory(env)
            memory.read(connection)
            return memory.nearest(connection, vector_D, count)

    def around(self, connection: sa.Connection, env: str, vector_D: Vector, count: int = CANDIDATES) -> Around:
        """Up to `count` clusters, and which of them is the nearest."""
        server = self.in_server(connection, env)
        if server is not None:
            near, packed = server.nearest_rows(connection, vector_D, count, CANDIDATES)
            rows_ND = unpack_vectors(packed, self.embedder.dimensions)
            return Around(near, _best(near[:CANDIDATES], rows_ND, vector_D))
        near = self.near(connection, env, vector_D, count)
        return Around(near, self._nearest(connection, near[:CANDIDATES], vector_D))

    def compared(self, ids: Sequence[int], packed: Mapping[int, bytes], vector_D: Vector) -> Around:
        """`around`, where the clusters and the vectors of the first of them have been read."""
        rows_ND = unpack_vectors(list(packed.values()), self.embedder.dimensions)
        return Around(np.array(ids, np.int64), _best(np.array(list(packed), np.int64), rows_ND, vector_D))

    def in_server(self, connection: sa.Connection, env: str) -> Pgvector | None:
        """The index in the server that has this environment's clusters; None: one in memory has."""
        server = self._in_server(connection, env)
        return server if server is not None and server.is_made(connection) else None

    def assign(self, connection: sa.Connection, env: str, situation: str, vector_D: Vector) -> int:
        """The situation's cluster, opened where none is alike, in an open write transaction."""
        known, own = self._for_writing(connection, env)
        with self._lock:
            found = [part.nearest(connection, vector_D, CANDIDATES) for part in (known, own)]
        at = self._nearest(connection, np.concatenate(found), vector_D)
        if at is not None and at[1] >= self.delta:
            return at[0]
        row = {
            "env": env,
            "situation": situation,
            "embedder": self.embedder.name,
            "vector": pack_vector(vector_D),
            "created": datetime.now(UTC),
        }
        id = int(connection.execute(CLUSTERS.insert().returning(CLUSTERS.c.id), row).scalar_one())
        taker = known if isinstance(known, Pgvector) else own
        taker.add(connection, np.array([id], np.int64), vector_D[None])
        return id

    def envs(self, connection: sa.Connection) -> list[str]:
        """Environments that have a cluster of this embedder."""
        # A step a name: DISTINCT would look at every cluster.
        found: list[str] = []
        while True:
            after = CLUSTERS.c.env > found[-1] if found else sa.true()
            query = sa.select(CLUSTERS.c.env).where(after).order_by(CLUSTERS.c.env).limit(1)
            env = connection.execute(query).scalar()
            if env is None:
                return found
            found.append(env)

    def _for_writing(self, connection: sa.Connection, env: str) -> tuple[Index, Exact]:
        """The index of what was there, and one of what this transaction has opened in memory."""
        with self._lock:
            opened = self._opened.setdefault(connection, {})
        server = self._in_server(connection, env)
        if env not in opened:
            if connection.dialect.name == "postgresql":
                # One writer of an environment's clusters at a time: two would open the same cluster twice, and could
                # commit their ids out of order.
                lock = sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"clusters {env}", 0))
                connection.execute(sa.select(lock))
            own = Exact(self._space(env))
            if server is not None and server.make(connection):
                opened[env] = (server, own)
                server.catch_up(connection)
            else:
                with self._lock, self._database.reading() as committed:  # what is opened here may be rolled back
                    memory = self._in_memory(env)
                    memory.read(committed)
                    own.last = memory.last
                own.read(connection)
                opened[env] = (memory, own)
        return opened[env]

    def _nearest(self, connection: sa.Connection, candidates: Ids, vector_D: Vector) -> tuple[int, float] | None:
        return _best(*read_rows(connection, candidates, self.embedder.dimensions), vector_D)

    def _space(self, env: str) -> Space:
        return Space(env, self.embedder.name, self.embedder.dimensions)

    def _in_server(self, connection: sa.Connection, env: str) -> Pgvector | None:
        if self._kind is None:
            in_server = connection.dialect.name == "postgresql" and has_extension(connection)
            self._kind = "pgvector" if in_server else _in_process()
        return self._server.setdefault(env, Pgvector(self._space(env))) if self._kind == "pgvector" else None

    def _in_memory(self, env: str) -> Index:
        if env not in self._memory:
            kind = _in_process() if self._kind in (None, "pgvector") else self._kind
            if kind == "hnsw":
                from skills_db.indexes.hnsw import Hnsw

                self._memory[env] = Hnsw(self._space(env), _home(self._database))
            else:
                self._memory[env] = Exact(self._space(env))
        return self._memory[env]


def _best(ids: Ids, rows_ND: Rows, vector_D: Vector) -> tuple[int, float] | None:
    """(id, cosine similarity) of the nearest row, of equals the older; None where there is none."""
    if not len(ids):
        return None
    similar_N = rows_ND @ vector_D
    best = min(range(len(ids)), key=lambda i: (-round(float(similar_N[i]), 6), int(ids[i])))
    return int(ids[best]), float(similar_N[best])


def _in_process() -> str:
    return "hnsw" if importlib.util.find_spec("usearch") else "exact"


def _home(database: Database) -> Path:
    """Where graphs are kept: beside a SQLite file, else in the user's cache."""
    if database.dialect == "sqlite":
        return Path(database.where.removeprefix("sqlite:///") + ".nearest")
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "turnhalle" / "nearest" / hashlib.sha256(database.where.encode()).hexdigest()[:16]
