"""The experiences whose situations are nearest: those of the nearest clusters, compared one by one.

The clusters are the lists of an inverted file. They are probed in widening rings until enough experiences have been
compared; where a filter leaves too few of them for that, all that pass it are. So a rare filter is exact and slower,
and a common one is quick: how often it finds what a comparison with all would find, `skills bench` measures.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import numpy as np
import sqlalchemy as sa

from skills_db.cluster import Clusters
from skills_db.indexes.base import Ids
from skills_db.models import Experience
from skills_db.vectors import Vector, unpack_vectors

__all__ = ["RINGS", "nearest_experiences"]

_EXPERIENCES = cast(sa.Table, Experience.__table__)

RINGS = (8, 32, 128)
"""How many clusters have been probed after each ring."""
ENOUGH = 128
"""So many compared experiences end the search."""
_MOST_ROWS = 8192
"""Of one ring, so that a cluster of a hundred thousand cannot take all the memory."""
_READ_ROWS = 8192

Scored = list[tuple[int, float]]


def nearest_experiences(
    connection: sa.Connection,
    clusters: Clusters,
    env: str,
    vector_D: Vector,
    count: int,
    wanted: Sequence[sa.ColumnElement[bool]],
    near: Ids | None = None,
) -> Scored:
    """(id, cosine similarity) of up to `count` experiences of an environment that pass `wanted`, the nearest first.

    Of equals the better comes first, then the newer. `near` holds the nearest clusters, where they are known.
    """
    dimensions = clusters.embedder.dimensions
    query = sa.select(_EXPERIENCES.c.id, _EXPERIENCES.c.score, _EXPERIENCES.c.vector).where(*wanted)
    if near is None:
        near = clusters.near(connection, env, vector_D, RINGS[1])
    found: list[tuple[int, float, float]] = []
    probed = 0
    for ring in RINGS:
        if probed == len(near) < ring == RINGS[-1] and len(near) >= RINGS[1]:  # so many were asked for, and no more
            near = clusters.near(connection, env, vector_D, ring)
        lists = near[probed:ring].tolist()
        if lists:
            rows = connection.execute(query.where(_EXPERIENCES.c.cluster.in_(lists)).limit(_MOST_ROWS)).all()
            found += _compared(rows, vector_D, dimensions)
        probed = ring
        if len(found) >= max(count, ENOUGH):
            break
    if len(found) < count and len(near) == RINGS[-1]:
        found = _all(connection, query, clusters, env, vector_D, count)
    order = sorted(found, key=lambda each: (-round(each[1], 4), -each[2], -each[0]))
    return [(id, similarity) for id, similarity, _ in order[:count]]


def _all(
    connection: sa.Connection,
    query: sa.Select[tuple[int, float, bytes]],
    clusters: Clusters,
    env: str,
    vector_D: Vector,
    count: int,
) -> list[tuple[int, float, float]]:
    embedder = clusters.embedder
    query = query.where(_EXPERIENCES.c.env == env, _EXPERIENCES.c.embedder == embedder.name)
    best: list[tuple[int, float, float]] = []
    last = 0
    while True:
        rows = connection.execute(
            query.where(_EXPERIENCES.c.id > last).order_by(_EXPERIENCES.c.id).limit(_READ_ROWS)
        ).all()
        best = sorted(best + _compared(rows, vector_D, embedder.dimensions), key=lambda each: -each[1])[: 2 * count]
        if len(rows) < _READ_ROWS:
            return best
        last = rows[-1].id


def _compared(
    rows: Sequence[sa.Row[tuple[int, float, bytes]]], vector_D: Vector, dimensions: int
) -> list[tuple[int, float, float]]:
    similar_N = unpack_vectors([row.vector for row in rows], dimensions) @ vector_D
    return [(row.id, float(similar), row.score) for row, similar in zip(rows, np.asarray(similar_N), strict=True)]
