"""Experiences by words, by vectors and by the situation's cluster at once; each answer says why it stands there.

Three rankings are made and joined by reciprocal rank (Cormack, Clarke, Büttcher, SIGIR 2009): an entry's total is the
sum of 1 / (60 + rank) over the rankings it stands in, ranks from 1.

* text: all words of the query occur, or, where too few entries have them, words that they begin; BM25 (k1 1.2, b 0.75,
  length in characters) without its rarity factor, since every entry has every word. Where more than `MOST_MATCHES` have
  them all, the newest of those are ranked; a query of more than `MOST_WORDS` words has no such ranking.
* vector: cosine similarity of the query and the situation, the nearest of an environment's clusters.
* cluster: the entries of the query's own cluster, linked ones too, by score; none where no representative is as near
  as delta.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import sqlalchemy as sa
from sqlalchemy.dialects.postgresql import ARRAY

from skills_db.cluster import Clusters
from skills_db.errors import BadRecord
from skills_db.neighbours import Candidates, nearest_experiences
from skills_db.probe import Probe, probe
from skills_db.search import Terms, as_asked, matching_experiences, occurrences, snippet_of, terms
from skills_db.tables import EPISODES, EXPERIENCES, LINKS
from skills_db.vectors import Vector

__all__ = [
    "FUSION",
    "LONGEST",
    "MOST_CHARS",
    "MOST_MATCHES",
    "MOST_WORDS",
    "Place",
    "Ranked",
    "Wanted",
    "check_wanted",
    "join",
    "look",
    "places_of",
]

Rankings = Mapping[str, Sequence[tuple[int, float]]]
"""Of each ranking (id, what it is by), the best first."""
Matches = list[tuple[int, str]]
"""(id, text) of what the words occur in."""

FUSION = 60
"""The constant of the fusion: the larger, the less the first ranks stand out."""
MOST_MATCHES = 64
MOST_WORDS = 16
"""A query of more words is a situation: the vectors say what is like it, and hardly a text has all its words."""
DEPTH = 50
"""How deep each ranking goes, or as deep as the answer is long."""
MOST_CHARS = 100_000
"""A query is cut here: an embedder would read a megabyte for nothing."""
LONGEST = 1000
"""So many are answered at most."""
_K1, _B = 1.2, 0.75

_COLUMNS = ("id", "env", "kind", "level", "situation", "advice", "score", "shown", "created")


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which experiences are looked among, and skills as far as they have such a thing; None does not filter."""

    env: str | None = None
    kind: str | None = None
    """`skill` or `failure`."""
    level: str | None = None
    run: str | None = None
    """Only what was learned in this run's episodes."""
    score_at_least: float | None = None
    newer_than: datetime | None = None
    """Added at this time or later; aware."""
    older_than: datetime | None = None
    """Added before this time; aware."""
    limit: int = 10


_CONDITIONS: dict[str, sa.ColumnElement[bool]] = {
    "env": EXPERIENCES.c.env == sa.bindparam("env"),
    "kind": EXPERIENCES.c.kind == sa.bindparam("kind"),
    "level": EXPERIENCES.c.level == sa.bindparam("level"),
    "run": EXPERIENCES.c.episode.in_(sa.select(EPISODES.c.id).where(EPISODES.c.run == sa.bindparam("run"))),
    "score_at_least": EXPERIENCES.c.score >= sa.bindparam("score_at_least"),
    "newer_than": EXPERIENCES.c.created >= sa.bindparam("newer_than"),
    "older_than": EXPERIENCES.c.created < sa.bindparam("older_than"),
}
"""What each field of `Wanted` asks, its value bound by its name."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where an experience stands in one ranking."""

    ranking: str
    """`text`, `vector` or `cluster`."""
    rank: int
    """1 for the first."""
    value: float
    """What the ranking is by: BM25, cosine similarity, or score."""
    part: float
    """What it adds to the total: 1 / (60 + rank)."""


@dataclass(frozen=True, slots=True)
class Ranked:
    """One experience that was looked for."""

    id: int
    env: str
    kind: str
    level: str
    advice: str
    snippet: str
    """One line of situation and advice, the query's words in [brackets]."""
    score: float
    shown: int
    created: str
    """ISO 8601, UTC."""
    total: float
    places: Sequence[Place]
    """Why: the largest part first."""


def look(connection: sa.Connection, clusters: Clusters, text: str, wanted: Wanted | None = None) -> list[Ranked]:
    """Experiences for a situation or for words, the best first. Raises BadRecord for a filter that cannot be."""
    wanted = wanted or Wanted()
    check_wanted(wanted)
    text = text[:MOST_CHARS]
    if not text.strip():
        return []
    depth = max(DEPTH, wanted.limit)
    given = {name: value for name in _CONDITIONS if (value := getattr(wanted, name)) is not None}
    statements = _statements(connection.dialect.name, frozenset(given))
    asked = terms(text)
    vector_D = clusters.embedder.embed([text])[0]
    envs = clusters.envs(connection) if wanted.env is None else [wanted.env]
    values = {**given, "embedder": clusters.embedder.name, "depth": depth}
    questions = _questions(connection.dialect.name, asked)
    near: dict[str, Probe] = {}
    matches: Matches = []
    for env in envs:
        if questions and not near:
            first = {**values, "asked": questions.pop(0)}
            near[env] = probe(connection, clusters, env, vector_D, statements.vector, statements.text, first)
            matches = near[env].matches
        else:
            near[env] = probe(connection, clusters, env, vector_D, statements.vector, None, values)
    for question in questions:
        if len(matches) >= wanted.limit:
            break
        matches = [(row.id, row.body) for row in connection.execute(statements.text, {**values, "asked": question})]
    rankings = {
        "text": _by_text(asked, matches)[:depth],
        "vector": _by_vector(connection, clusters, near, vector_D, statements, values),
        "cluster": _by_cluster(connection, clusters, near, statements, values),
    }
    totals = join(rankings)
    best = sorted(totals, key=lambda id: (-totals[id], -id))[: wanted.limit]
    places = places_of(rankings, best)
    by_id = {row.id: row for row in connection.execute(_shown(connection.dialect.name), {"ids": best}).all()}
    return [_ranked(by_id[id], totals[id], places[id], asked) for id in best]


def join(rankings: Rankings) -> dict[int, float]:
    """Of each id that stands in a ranking: the sum of its places' parts."""
    ranks: dict[int, list[int]] = {}
    for ranking in rankings.values():
        for rank, (id, _) in enumerate(ranking, start=1):
            ranks.setdefault(id, []).append(rank)
    # From the best rank on, so that equal ranks in other rankings make the same sum to the last bit.
    return {id: sum(1.0 / (FUSION + rank) for rank in sorted(found)) for id, found in ranks.items()}


def places_of(rankings: Rankings, ids: Sequence[int]) -> dict[int, list[Place]]:
    """Where each of these ids stands, its best place first."""
    places: dict[int, list[Place]] = {id: [] for id in ids}
    for name, ranking in rankings.items():
        for rank, (id, value) in enumerate(ranking, start=1):
            if id in places:
                places[id].append(Place(name, rank, value, 1.0 / (FUSION + rank)))
    for found in places.values():
        found.sort(key=lambda place: place.rank)
    return places


def check_wanted(wanted: Wanted) -> None:
    """Raises BadRecord for a filter that cannot be."""
    if wanted.kind not in (None, "skill", "failure"):
        raise BadRecord(f"no experience is of kind '{wanted.kind}': say skill or failure")
    if not 1 <= wanted.limit <= LONGEST:
        raise BadRecord(f"{wanted.limit} answers cannot be given: say 1 to {LONGEST}")
    if wanted.score_at_least is not None and wanted.score_at_least != wanted.score_at_least:
        raise BadRecord("a score of nan is above none and below none: give a number")
    for moment in (wanted.newer_than, wanted.older_than):
        if moment is not None and moment.tzinfo is None:
            raise BadRecord(f"the time {moment.isoformat()} has no zone: say +00:00 for UTC")


@dataclass(frozen=True, slots=True)
class Statements:
    """What is asked where some fields of `Wanted` are given: made once, since making takes longer than running."""

    text: sa.Select[Any]
    vector: Candidates
    cluster: sa.Select[Any]


@functools.cache
def _statements(dialect: str, given: frozenset[str]) -> Statements:
    column = EXPERIENCES.c
    filters = [column.retired.is_(None), *(_CONDITIONS[name] for name in sorted(given))]
    own: sa.BindParameter[Any] = sa.bindparam("own", expanding=True)
    passing = sa.select(column.id, column.score).where(*filters)
    linked = passing.join(LINKS, LINKS.c.experience == column.id).where(LINKS.c.cluster.in_(own))
    # Each by itself first, so that those of a large cluster come from its index.
    parts = (_by_score(part, column) for part in (passing.where(column.cluster.in_(own)), linked))
    either = sa.union(*(sa.select(part.subquery()) for part in parts)).subquery()
    return Statements(
        text=matching_experiences(dialect).where(*filters).limit(MOST_MATCHES),
        vector=Candidates(*filters, column.embedder == sa.bindparam("embedder")),
        cluster=_by_score(sa.select(either), either.c),
    )


def _by_score(query: sa.Select[Any], columns: Any) -> sa.Select[Any]:
    depth = sa.bindparam("depth", type_=sa.Integer)
    return query.order_by(columns.score.desc(), columns.id.desc()).limit(depth)


@functools.cache
def _shown(dialect: str) -> sa.Select[Any]:
    """What an answer says of the experiences `ids`."""
    id = EXPERIENCES.c.id
    # As an array it is one statement for any number of them, of which PostgreSQL keeps the plan.
    array: Any = sa.any_(sa.bindparam("ids", type_=ARRAY(sa.BigInteger)))
    named = id == array if dialect == "postgresql" else id.in_(sa.bindparam("ids", expanding=True))
    return sa.select(*(EXPERIENCES.c[name] for name in _COLUMNS)).where(named).execution_options(binary=True)


def _questions(dialect: str, asked: Terms) -> list[str]:
    """What the engine's full text is asked, one after the other until enough is found."""
    if not asked or sum(len(words) for words, _ in asked) > MOST_WORDS:
        return []
    # Whole words first: an engine merges the entries of all words that begin so before it yields the first.
    whole = [(words, False) for words, _ in asked]
    return list(dict.fromkeys(as_asked(dialect, each) for each in (whole, asked)))


def _by_text(asked: Terms, matches: Matches) -> list[tuple[int, float]]:
    asked = [([word.lower() for word in words], prefix) for words, prefix in asked]
    bodies = [(id, body.lower()) for id, body in matches]
    usual = sum(len(body) for _, body in bodies) / max(1, len(bodies))
    scored = [(id, _bm25(body, asked, usual)) for id, body in bodies]
    return sorted(scored, key=lambda found: (-round(found[1], 6), -found[0]))


def _bm25(body: str, asked: Terms, usual: float) -> float:
    """How often the terms occur, each saturating, long texts discounted."""
    room = _K1 * (1.0 - _B + _B * len(body) / usual)
    total = 0.0
    for words, prefix in asked:
        count = occurrences(body, words, prefix)
        total += count * (_K1 + 1.0) / (count + room)
    return total


def _by_vector(
    connection: sa.Connection,
    clusters: Clusters,
    near: Mapping[str, Probe],
    vector_D: Vector,
    statements: Statements,
    values: Mapping[str, Any],
) -> list[tuple[int, float]]:
    found: list[tuple[int, float]] = []
    depth = values["depth"]
    for env, at in near.items():
        found += nearest_experiences(
            connection, clusters, env, vector_D, depth, statements.vector, values, at.around.ids, at.listed
        )
    return sorted(found, key=lambda each: -round(each[1], 4))[:depth]


def _by_cluster(
    connection: sa.Connection,
    clusters: Clusters,
    near: Mapping[str, Probe],
    statements: Statements,
    values: Mapping[str, Any],
) -> list[tuple[int, float]]:
    best = [at.around.best for at in near.values()]
    own = [cluster[0] for cluster in best if cluster is not None and cluster[1] >= clusters.delta]
    if not own:
        return []
    return [(row.id, row.score) for row in connection.execute(statements.cluster, {**values, "own": own})]


def _ranked(row: Any, total: float, places: Sequence[Place], asked: Terms) -> Ranked:
    return Ranked(
        id=row.id,
        env=row.env,
        kind=row.kind,
        level=row.level,
        advice=row.advice,
        snippet=snippet_of(f"{row.situation} {row.advice}", asked),
        score=row.score,
        shown=row.shown,
        created=row.created.isoformat(),
        total=total,
        places=tuple(places),
    )
