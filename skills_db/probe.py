"""What a hybrid search asks first, as one statement: the nearest clusters, what is in them, and where the words occur.

To a server a statement is a round trip, and to either engine more work in Python than most of what it answers.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from skills_db.cluster import CANDIDATES, Around, Clusters
from skills_db.indexes.pgvector import MOST_STATEMENTS, near_values, with_vectors
from skills_db.neighbours import RINGS, Candidates, Listed
from skills_db.tables import CLUSTERS
from skills_db.vectors import Vector

__all__ = ["Probe", "probe"]

_CLUSTER, _LISTED, _MATCH = range(3)
"""What a row of the statement is of; the others' columns are null in it."""
_NO_NUMBER: sa.ColumnElement[Any] = sa.cast(sa.null(), sa.Double)
_NO_BYTES: sa.ColumnElement[Any] = sa.cast(sa.null(), sa.LargeBinary)
_NO_TEXT: sa.ColumnElement[Any] = sa.cast(sa.null(), sa.Text)


@dataclass(frozen=True, slots=True)
class Probe:
    """One environment's answer."""

    around: Around
    """The clusters around the vector, as many as two rings hold."""
    listed: Listed
    """The candidates of the first ring."""
    matches: list[tuple[int, str]]
    """(id, text) of the experiences in which the words occur."""


def probe(
    connection: sa.Connection,
    clusters: Clusters,
    env: str,
    vector_D: Vector,
    wanted: Candidates,
    matching: sa.Select[Any] | None,
    values: Mapping[str, Any],
) -> Probe:
    """Ask; `values` are the parameters of `wanted` and of `matching`, None: no words are looked for."""
    server = clusters.in_server(connection, env)
    if server is not None:
        near = near_values(vector_D, RINGS[1]) | {"rows": CANDIDATES, "ring": RINGS[0]}
        statement = _statement(wanted, matching, server.near)
        ids: Sequence[int] = ()
    else:
        ids = clusters.near(connection, env, vector_D, RINGS[1]).tolist()
        near = {"first": ids[:CANDIDATES], "lists": ids[: RINGS[0]]}
        statement = _statement(wanted, matching, None)
    ranked: list[tuple[int, float | None, bytes]] = []
    listed: list[tuple[int, float, bytes]] = []
    matches: list[tuple[int, str]] = []
    for of, id, number, packed, body in connection.execute(statement, {**values, **near}).all():
        if of == _LISTED:
            listed.append((id, number, packed))
        elif of == _MATCH:
            matches.append((id, body))
        else:
            ranked.append((id, number, packed))
    if server is not None:
        ranked.sort(key=lambda cluster: cluster[1] or 0)
        ids = [id for id, _, _ in ranked]
    return Probe(clusters.compared(ids, {id: packed for id, _, packed in ranked if packed}, vector_D), listed, matches)


@functools.lru_cache(MOST_STATEMENTS)
def _statement(wanted: Candidates, matching: sa.Select[Any] | None, near: sa.CTE | None) -> sa.CompoundSelect[Any]:
    """Made once, since making takes longer than running. `near`: of the server's index."""

    def part(
        of: int, id: Any, number: Any = _NO_NUMBER, packed: Any = _NO_BYTES, body: Any = _NO_TEXT
    ) -> sa.Select[Any]:
        what: sa.ColumnElement[int] = sa.literal_column(str(of), sa.Integer)
        return sa.select(what.label("of"), id.label("id"), number.label("number"), packed.label("packed"), body)

    if near is None:
        centres = part(_CLUSTER, CLUSTERS.c.id, packed=CLUSTERS.c.vector)
        centres = centres.where(CLUSTERS.c.id.in_(sa.bindparam("first", expanding=True)))
        lists: Any = sa.bindparam("lists", expanding=True)
    else:
        first = with_vectors(near).subquery()
        centres = part(_CLUSTER, first.c.id, sa.cast(first.c.rank, sa.Double), first.c.vector)
        lists = sa.select(near.c.id).where(near.c.rank <= sa.bindparam("ring", type_=sa.BigInteger))
    listed = wanted.of(lists).subquery()
    parts = [centres, part(_LISTED, listed.c.id, listed.c.score, listed.c.vector)]
    if matching is not None:
        matches = matching.subquery()
        parts.append(part(_MATCH, matches.c.id, body=matches.c.body))
    return sa.union_all(*parts).execution_options(binary=True)
