"""PostgreSQL's extension pgvector: an HNSW index in the server, kept in the transaction that opens a cluster.

A table for each environment and embedder holds a copy of the representatives' vectors, so no filter stands between the
query and the graph. It holds them as float16, as SQL does, where the extension has that type (since 0.7), and a table
that was made as float32 stays so. A writer first copies what others, without the extension, have added.
"""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import sqlalchemy as sa

from skills_db.database import NEIGHBOURS_SEEN
from skills_db.indexes.base import Ids, Index, Space
from skills_db.tables import CLUSTERS
from skills_db.vectors import Rows, Vector

__all__ = ["MOST_STATEMENTS", "PREFIX", "Pgvector", "has_extension", "near_values", "with_vectors"]

MOST_STATEMENTS = 256
"""That are kept made; there is one for each environment and set of filters."""
PREFIX = "nearest_"
"""Begins the names of the tables, which no migration describes."""

_BUILD_MEMORY = "512MB"
"""While the index is made: a graph that does not fit is made on disk, many times slower."""
_BUILT_SEEING = 200
"""Vectors that are held at once while one is linked: a graph that took longer to make is searched in less time."""
_MOST_SEEN = 1000
"""pgvector looks at no more."""
_MOST_DIMENSIONS = 2000
"""pgvector indexes no more."""


def has_extension(connection: sa.Connection) -> bool:
    """Whether the server has pgvector, set up in this database or ready to be."""
    query = sa.text("SELECT 1 FROM pg_available_extensions WHERE name = 'vector'")
    return connection.execute(query).scalar() is not None


class Pgvector(Index):
    """A table with an HNSW index, cosine."""

    def __init__(self, space: Space) -> None:
        super().__init__(space)
        whole = "\x1f".join((space.env, space.embedder, str(space.dimensions)))
        self._table = PREFIX + hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:16]
        self._made = False
        self._kind = ""

    @property
    def near(self) -> sa.CTE:
        """What is near a vector, of a table that is made."""
        return _near_in(self._table, self._kind)

    def is_made(self, connection: sa.Connection) -> bool:
        """Whether the table is there, in a transaction that only reads."""
        self._made = self._made or self._found(connection)
        return self._made

    def _found(self, connection: sa.Connection) -> bool:
        """Whether it is there, and if so of which type its vectors are."""
        query = "SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = to_regclass(:table) AND attname = 'vector'"
        kind: str | None = connection.execute(sa.text(query), {"table": self._table}).scalar()
        self._kind = kind or self._kind
        return kind is not None

    def make(self, connection: sa.Connection) -> bool:
        """Make the table in an open write transaction; False where this role may not, or the vectors are too long."""
        if self.space.dimensions > _MOST_DIMENSIONS:
            return False
        if self._found(connection):
            return True
        try:
            with connection.begin_nested():
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
                half = connection.execute(sa.select(sa.func.to_regtype("halfvec"))).scalar() is not None
                self._kind = "halfvec" if half else "vector"
                connection.exec_driver_sql(
                    f"CREATE TABLE {self._table} (id bigint PRIMARY KEY REFERENCES clusters ON DELETE CASCADE, "
                    f"vector {self._kind}({self.space.dimensions}) NOT NULL)"
                )
                self.catch_up(connection)  # first, since an index over what is there is made at once, not row by row
                connection.exec_driver_sql(f"SET LOCAL maintenance_work_mem = '{_BUILD_MEMORY}'")
                connection.exec_driver_sql(
                    f"CREATE INDEX {self._table}_hnsw ON {self._table} USING hnsw (vector {self._kind}_cosine_ops) "
                    f"WITH (ef_construction = {_BUILT_SEEING})"
                )
        except sa.exc.DBAPIError:
            return False
        return True

    def catch_up(self, connection: sa.Connection) -> None:
        """Copy what the table lacks, in an open write transaction."""
        newest = connection.execute(sa.text(f"SELECT max(id) FROM {self._table}")).scalar()
        self.last = int(newest or 0)
        self.read(connection)

    def add(self, connection: sa.Connection | None, ids: Ids, rows_ND: Rows) -> None:
        """Copy clusters."""
        insert = sa.text(f"INSERT INTO {self._table} (id, vector) VALUES (:id, CAST(:vector AS {self._kind}))")
        rows = [{"id": int(id), "vector": _literal(row_D)} for id, row_D in zip(ids, rows_ND, strict=True)]
        assert connection is not None
        connection.execute(insert, rows)

    def nearest(self, connection: sa.Connection, vector_D: Vector, count: int) -> Ids:
        """Up to `count` clusters, the nearest first."""
        return self.nearest_rows(connection, vector_D, count, 0)[0]

    def nearest_rows(
        self, connection: sa.Connection, vector_D: Vector, count: int, rows: int
    ) -> tuple[Ids, Sequence[bytes]]:
        """`nearest`, and of the first `rows` of them the vectors as SQL has them."""
        values = {**near_values(vector_D, count), "rows": rows}
        with _seeing(connection, count):
            found = connection.execute(_nearest(self.near), values).all()
        return np.array([row.id for row in found], np.int64), [row.vector for row in found[:rows]]


@functools.lru_cache(MOST_STATEMENTS)
def _near_in(table: str, kind: str) -> sa.CTE:
    """Ids and ranks (1 for the nearest) of the clusters that a table has near a vector; for `near_values`."""
    query = sa.text(
        f"SELECT id, row_number() OVER (ORDER BY far) AS rank FROM (SELECT id, vector <=> CAST(:vector AS {kind}) "
        f"AS far FROM {table} ORDER BY far LIMIT :count) AS found"
    )
    return query.columns(sa.column("id", sa.BigInteger), sa.column("rank", sa.BigInteger)).cte("near")


def near_values(vector_D: Vector, count: int) -> dict[str, object]:
    """The parameters of `_near_in`; `count` is at most NEIGHBOURS_SEEN."""
    return {"vector": _literal(vector_D), "count": count}


def with_vectors(near: sa.CTE) -> sa.Select[Any]:
    """Id, rank and, of the first `rows`, the vector as SQL has it."""
    # Null for the others, so that they are not even looked up.
    first = sa.case((near.c.rank <= sa.bindparam("rows", type_=sa.BigInteger), near.c.id))
    read = sa.select(near.c.id, near.c.rank, CLUSTERS.c.vector)
    return read.join_from(near, CLUSTERS, CLUSTERS.c.id == first, isouter=True)


@functools.lru_cache(MOST_STATEMENTS)
def _nearest(near: sa.CTE) -> sa.Select[Any]:
    return with_vectors(near).order_by(near.c.rank).execution_options(binary=True)


@contextmanager
def _seeing(connection: sa.Connection, count: int) -> Iterator[None]:
    """The graph's search is as wide as `count`, where it is not anyway."""
    if count <= NEIGHBOURS_SEEN:
        yield
        return
    connection.exec_driver_sql(f"SET hnsw.ef_search = {min(_MOST_SEEN, count)}")
    yield
    connection.exec_driver_sql(f"SET hnsw.ef_search = {NEIGHBOURS_SEEN}")


def _literal(vector_D: Vector) -> str:
    # One format for all places takes half the time of one for each.
    return f"[{','.join(['%.5g'] * len(vector_D))}]" % tuple(vector_D.tolist())
