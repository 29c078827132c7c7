"""PostgreSQL's extension pgvector: an HNSW index in the server, kept in the transaction that opens a cluster.

A table for each environment and embedder holds a copy of the representatives' vectors, so no filter stands between the
query and the graph. A writer first copies what others, without the extension, have added.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import sqlalchemy as sa

from skills_db.database import NEIGHBOURS_SEEN
from skills_db.indexes.base import Ids, Index, Space
from skills_db.vectors import Rows, Vector

__all__ = ["PREFIX", "Pgvector", "has_extension"]

PREFIX = "nearest_"
"""Begins the names of the tables, which no migration describes."""

_BUILD_MEMORY = "512MB"
"""While the index is made: a graph that does not fit is made on disk, many times slower."""
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
        self._made = False
        self._table = PREFIX + hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:16]
        query = sa.text(
            "SELECT near.id, clusters.vector FROM (SELECT id, far, row_number() OVER (ORDER BY far) AS rank FROM "
            f"(SELECT id, vector <=> CAST(:vector AS vector) AS far FROM {self._table} ORDER BY far LIMIT :count) AS "
            "ranked) AS near LEFT JOIN clusters ON clusters.id = near.id AND near.rank <= :rows ORDER BY near.far"
        )
        self._nearest = query.execution_options(binary=True)

    def is_made(self, connection: sa.Connection) -> bool:
        """Whether the table is there, in a transaction that only reads."""
        if not self._made:
            self._made = connection.execute(sa.select(sa.func.to_regclass(self._table))).scalar() is not None
        return self._made

    def make(self, connection: sa.Connection) -> bool:
        """Make the table in an open write transaction; False where this role may not, or the vectors are too long."""
        if self.space.dimensions > _MOST_DIMENSIONS:
            return False
        if connection.execute(sa.select(sa.func.to_regclass(self._table))).scalar() is not None:
            return True
        try:
            with connection.begin_nested():
                connection.exec_driver_sql("CREATE EXTENSION IF NOT EXISTS vector")
                connection.exec_driver_sql(
                    f"CREATE TABLE {self._table} (id bigint PRIMARY KEY REFERENCES clusters ON DELETE CASCADE, "
                    f"vector vector({self.space.dimensions}) NOT NULL)"
                )
                self.catch_up(connection)  # first, since an index over what is there is made at once, not row by row
                connection.exec_driver_sql(f"SET LOCAL maintenance_work_mem = '{_BUILD_MEMORY}'")
                connection.exec_driver_sql(
                    f"CREATE INDEX {self._table}_hnsw ON {self._table} USING hnsw (vector vector_cosine_ops)"
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
        insert = sa.text(f"INSERT INTO {self._table} (id, vector) VALUES (:id, CAST(:vector AS vector))")
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
        values = {"vector": _literal(vector_D), "count": count, "rows": rows}
        with _seeing(connection, count):
            found = connection.execute(self._nearest, values).all()
        return np.array([row.id for row in found], np.int64), [row.vector for row in found[:rows]]


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
