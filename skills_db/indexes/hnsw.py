"""A graph of neighbours (HNSW, arXiv 1603.09320) in memory, by the library usearch, with a file beside as its cache.

Vectors are kept as int8. Up to `EXACT` representatives are compared one by one. The file is read only where its newest
vector and its number are those of the database; it is written anew when the graph has grown by a quarter, and where it
cannot be, the next process builds the graph again.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from skills_db.indexes.base import Ids, Index, Space, read_rows
from skills_db.indexes.exact import Exact
from skills_db.tables import CLUSTERS
from skills_db.vectors import Rows, Vector

__all__ = ["Hnsw"]

EXACT = 4096
_CONNECTIVITY, _EXPANSION_ADD, _EXPANSION_SEARCH = 24, 96, 128
_WORTH_SAVING = 4096
_SAME = 0.98
"""Cosine similarity of an int8 vector with its float32 original, at least."""


class Hnsw(Index):
    """usearch over int8 vectors, cosine."""

    def __init__(self, space: Space, home: Path | None) -> None:
        super().__init__(space)
        self._home = home
        self._few: Exact | None = Exact(space)
        self._graph: Any = None
        self._saved = 0
        self._looked = False

    def add(self, connection: sa.Connection | None, ids: Ids, rows_ND: Rows) -> None:
        """Take in clusters."""
        if self._few is not None:
            self._few.add(connection, ids, rows_ND)
            if len(self._few) <= EXACT:
                return
            ids, rows_ND = self._few.all()
            self._few, self._graph = None, self._empty()
        self._graph.add(ids.astype(np.uint64), rows_ND, threads=1)

    def read(self, connection: sa.Connection) -> None:
        """Take in what was committed since, from the file first."""
        if not self._looked:
            self._looked = True
            self._load(connection)
        super().read(connection)
        if self._graph is not None and len(self._graph) - self._saved >= max(_WORTH_SAVING, self._saved // 4):
            self._save()

    def nearest(self, connection: sa.Connection, vector_D: Vector, count: int) -> Ids:
        """Up to `count` clusters, the nearest first."""
        if self._few is not None:
            return self._few.nearest(connection, vector_D, count)
        self._graph.expansion_search = max(_EXPANSION_SEARCH, 2 * count)
        found: Ids = self._graph.search(vector_D, min(count, len(self._graph)), threads=1).keys.astype(np.int64)
        return found

    def _empty(self) -> Any:
        from usearch.index import Index as Graph

        return Graph(
            ndim=self.space.dimensions,
            metric="cos",
            dtype="i8",
            connectivity=_CONNECTIVITY,
            expansion_add=_EXPANSION_ADD,
            expansion_search=_EXPANSION_SEARCH,
        )

    @property
    def _stem(self) -> str:
        whole = "\x1f".join((self.space.env, self.space.embedder, str(self.space.dimensions)))
        return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()[:16]

    def _files(self) -> list[tuple[int, Path]]:
        """(newest cluster in it, file), the newest first."""
        if self._home is None or not self._home.is_dir():
            return []
        found = [(path.stem.rpartition("-")[2], path) for path in self._home.glob(f"{self._stem}-*.usearch")]
        return sorted(((int(last), path) for last, path in found if last.isdecimal()), reverse=True)

    def _load(self, connection: sa.Connection) -> None:
        for last, path in self._files():
            graph = self._empty()
            try:
                graph.load(str(path))
            except Exception:  # whatever a damaged file raises, SQL has what it held
                continue
            if self._is_of(connection, graph, last):
                self._few, self._graph, self._saved, self.last = None, graph, len(graph), last
                return

    def _is_of(self, connection: sa.Connection, graph: Any, last: int) -> bool:
        count = sa.select(sa.func.count()).where(
            CLUSTERS.c.env == self.space.env, CLUSTERS.c.embedder == self.space.embedder, CLUSTERS.c.id <= last
        )
        if graph.ndim != self.space.dimensions or connection.execute(count).scalar_one() != len(graph):
            return False
        ids, rows_ND = read_rows(connection, np.array([last], np.int64), self.space.dimensions)
        kept = graph.get(last) if len(ids) else None
        if kept is None:
            return False
        kept_D = np.asarray(kept, np.float32).ravel()
        return bool(kept_D @ rows_ND[0] >= _SAME * np.linalg.norm(kept_D))

    def _save(self) -> None:
        self._saved = len(self._graph)
        if self._home is None:
            return
        partial = self._home / f".{self._stem}.{os.getpid()}"
        with contextlib.suppress(OSError, RuntimeError):  # a cache that cannot be written is no loss
            self._home.mkdir(parents=True, exist_ok=True)
            older = [path for last, path in self._files() if last < self.last]
            self._graph.save(str(partial))
            partial.replace(self._home / f"{self._stem}-{self.last}.usearch")
            for path in older:
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)
