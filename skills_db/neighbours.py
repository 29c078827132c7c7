"""The experiences whose situations are nearest: those of the nearest clusters, compared one by one.

The clusters are the lists of an inverted file. They are probed in widening rings until enough experiences have been
compared; where a filter leaves too few of them for that, all that pass it are. So a rare filter is exact and slower,
and a common one is quick: how often it finds what a comparison with all would find, `skills bench` measures.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from skills_db.cluster import Clusters
from skills_db.indexes.base import Ids
from skills_db.tables import EXPERIENCES
from skills_db.vectors import Vector, unpack_vectors

__all__ = ["RINGS", "Candidates", "Listed", "nearest_experiences"]

RINGS = (8, 32, 128)
"""How many clusters have been probed after each ring."""
ENOUGH = 64
"""So many compared experiences end the search."""
_MOST_ROWS = 8192
"""Of one ring, so that a cluster of a hundred thousand cannot take all the memory."""
_READ_ROWS = 8192

Listed = Sequence[tuple[int, float, bytes]]
"""(id, score, packed vector) of experiences."""
Scored = list[tuple[int, float]]
Compared = tuple[Ids, npt.NDArray[np.float32], npt.NDArray[np.float64]]
"""(N,) ids, cosine similarities and scores."""


class Candidates:
    """The experiences that pass some conditions, as statements: made once, since making one takes longer than a run.

    Conditions may hold bound parameters of any name but `lists`, `last` and `rows` and what a probe's statement adds;
    `env` and `embedder` are those that are searched.
    """

    def __init__(self, *wanted: sa.ColumnElement[bool]) -> None:
        column = EXPERIENCES.c
        # PostgreSQL would write each byte of a vector as two digits.
        self._query = sa.select(column.id, column.score, column.vector).where(*wanted).execution_options(binary=True)
        self.listed = self.of(sa.bindparam("lists", expanding=True))
        self.all = (
            self._query.where(column.env == sa.bindparam("env"), column.embedder == sa.bindparam("embedder"))
            .where(column.id > sa.bindparam("last"))
            .order_by(column.id)
            .limit(sa.bindparam("rows", type_=sa.Integer))
        )

    def of(self, lists: Any) -> sa.Select[Any]:
        """Those of some clusters: a parameter that expands, or a query of their ids."""
        return self._query.where(EXPERIENCES.c.cluster.in_(lists)).limit(_MOST_ROWS)


def nearest_experiences(
    connection: sa.Connection,
    clusters: Clusters,
    env: str,
    vector_D: Vector,
    count: int,
    wanted: Candidates,
    values: Mapping[str, Any] | None = None,
    near: Ids | None = None,
    listed: Listed | None = None,
) -> Scored:
    """(id, cosine similarity) of up to `count` experiences of an environment that pass `wanted`, the nearest first.

    `values` are those of its parameters. Of equals the better comes first, then the newer. `near` holds the nearest
    clusters, where they are known, and `listed` what the first ring of these has.
    """
    values = dict(values or {})
    dimensions = clusters.embedder.dimensions
    if near is None:
        near = clusters.near(connection, env, vector_D, RINGS[1])
    found = [] if listed is None else [_compared(listed, vector_D, dimensions)]
    compared = len(listed or ())
    probed = 0 if listed is None else RINGS[0]
    for ring in RINGS:
        if ring == probed or compared >= max(count, ENOUGH):
            continue
        if probed == len(near) < ring == RINGS[-1] and len(near) >= RINGS[1]:  # so many were asked for, and no more
            near = clusters.near(connection, env, vector_D, ring)
        lists = near[probed:ring].tolist()
        if lists:
            rows = connection.execute(wanted.listed, values | {"lists": lists}).all()
            found.append(_compared(rows, vector_D, dimensions))
            compared += len(rows)
        probed = ring
    if compared < count and len(near) == RINGS[-1]:
        found = [_among_all(connection, wanted, values, clusters, env, vector_D, count)]
    ids, similar_N, score_N = _joined(found)
    order = np.lexsort((-ids, -score_N, -similar_N.round(4)))[:count]
    return list(zip(ids[order].tolist(), similar_N[order].tolist(), strict=True))


def _among_all(
    connection: sa.Connection,
    wanted: Candidates,
    values: Mapping[str, Any],
    clusters: Clusters,
    env: str,
    vector_D: Vector,
    count: int,
) -> Compared:
    """The nearest of all, and some more for equals at the edge."""
    embedder = clusters.embedder
    best: list[Compared] = []
    whose = {**values, "env": env, "embedder": embedder.name, "rows": _READ_ROWS}
    last = 0
    while True:
        rows = connection.execute(wanted.all, whose | {"last": last}).all()
        ids, similar_N, score_N = _joined([*best, _compared(rows, vector_D, embedder.dimensions)])
        kept = np.argsort(-similar_N, kind="stable")[: 2 * count]
        best = [(ids[kept], similar_N[kept], score_N[kept])]
        if len(rows) < _READ_ROWS:
            return best[0]
        last = rows[-1].id


def _compared(rows: Any, vector_D: Vector, dimensions: int) -> Compared:
    ids, scores, packed = zip(*rows, strict=True) if rows else ((), (), ())
    place = {one: at for at, one in enumerate(dict.fromkeys(packed))}  # many are about one situation
    similar_S = unpack_vectors(list(place), dimensions) @ vector_D
    similar_N = similar_S[[place[one] for one in packed]] if packed else similar_S
    return np.array(ids, np.int64), similar_N, np.array(scores, np.float64)


def _joined(parts: list[Compared]) -> Compared:
    if not parts:
        return np.empty(0, np.int64), np.empty(0, np.float32), np.empty(0, np.float64)
    ids, similar, scores = zip(*parts, strict=True)
    return np.concatenate(ids), np.concatenate(similar), np.concatenate(scores)
