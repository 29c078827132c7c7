"""How quick the library is, and how much an approximate answer misses, on experiences that are made up.

Situations are rooms with furniture and things in random states; every twentieth opens a cluster, the others change two
words of one. What is compared with is NumPy over all vectors at once (`brute`), and recall is measured against it: an
answer counts where it is as near as the tenth nearest. The ways take turns, query by query, through three rounds of new
queries; of each figure the best round's stands. Filling goes by plain SQL into clusters that are known; `insert` is
measured through the store's own door, after that.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import sqlalchemy as sa

from skills_db.database import Database
from skills_db.embedders.base import Embedder
from skills_db.embedders.hashing import Hashing
from skills_db.errors import BadRecord
from skills_db.experiences import Experiences, digest_of
from skills_db.hybrid import Wanted, look
from skills_db.neighbours import Candidates, nearest_experiences
from skills_db.tables import CLUSTERS, EXPERIENCES
from skills_db.types import NewExperience, Query
from skills_db.vectors import Rows, pack_vector

__all__ = ["BenchReport", "run_bench"]

ENV = "bench"
_A_CLUSTER = 20  # experiences, on average
_A_SITUATION = 4
_ROWS = 5000
_INSERTED = 1000
ROUNDS = 3
BRUTE = 20
"""Queries of a round that are compared with all."""
_ROUNDED = 1e-3
"""What float16 may make of a similarity."""

_WORDS = {
    "room": "kitchen garden cellar attic bedroom study hall bathroom shed garage pantry library office porch balcony",
    "furniture": "drawer cabinet fridge table shelf chest sofa bed desk counter stove sink box wardrobe bench safe",
    "thing": "key apple knife lamp book mug plate letter coin rope hammer towel candle bottle spoon map egg vase",
    "look": "brass oak iron silver red blue green old small large wooden glass clean dirty hot cold",
    "state": "locked open closed empty full broken",
}
_OF = {kind: words.split() for kind, words in _WORDS.items()}

Made = tuple[Rows, Any, list[str]]
"""(S, D) vectors of the situations, (N,) which of them each experience is about, and their texts."""


@dataclass(frozen=True, slots=True)
class BenchReport:
    """What was measured; times of one call in milliseconds."""

    database: str
    index: str
    experiences: int
    clusters: int
    fill_s: float
    """Filling by plain SQL."""
    index_s: float
    """The first insert and the first search, which make the index."""
    insert_per_s: float
    """Through the store, in batches of 100."""
    assign_per_s: float
    """Clusters found for vectors that are there."""
    retrieve_p50_ms: float
    """`Store.search`: what a player asks in a situation."""
    retrieve_p99_ms: float
    hybrid_p50_ms: float
    """`Store.look` by two words."""
    hybrid_p99_ms: float
    vector_p50_ms: float
    """The ten nearest situations, the vector at hand."""
    vector_p99_ms: float
    brute_p50_ms: float
    """The same by NumPy over all vectors in memory."""
    recall_at_10: float


def run_bench(
    database: Database,
    experiences: int,
    *,
    queries: int = 200,
    index: str | None = None,
    seed: int = 0,
    say: Callable[[str], None] = lambda text: None,
) -> BenchReport:
    """Fill an empty library and measure. Raises BadRecord where there are experiences already."""
    with database.reading() as connection:
        if connection.execute(sa.select(EXPERIENCES.c.id).limit(1)).scalar() is not None:
            raise BadRecord(f"{database.where} holds experiences: name an empty database to fill with made-up ones")
    rng = np.random.default_rng(seed)
    embedder = Hashing()
    say("filling")
    fill_s, made = _timed(lambda: _fill(database, embedder, rng, experiences))
    return _measured(database, embedder, rng, made, round(fill_s, 1), queries, index, say)


def _measured(
    database: Database,
    embedder: Embedder,
    rng: np.random.Generator,
    made: Made,
    fill_s: float,
    queries: int,
    index: str | None,
    say: Callable[[str], None],
) -> BenchReport:
    rows_SD, of_N, texts = made
    door = Experiences(database, embedder, index=index)
    say("building the index")
    first = NewExperience(ENV, texts[0], "look twice", "skill", 0.5)
    index_s = _timed(lambda: door.add([first]))[0] + _timed(lambda: door.search(Query(ENV, texts[0])))[0]
    rows_ND = rows_SD[of_N]

    def brute(vector_D: np.ndarray) -> float:
        similar_N = rows_ND @ vector_D
        return float(similar_N[np.argpartition(similar_N, -10)[-10:]].min())

    def assign(vector_D: np.ndarray) -> None:
        with database.asking() as connection:
            door.clusters.around(connection, ENV, vector_D)

    def nearest(vector_D: np.ndarray) -> list[tuple[int, float]]:
        with database.asking() as connection:
            return nearest_experiences(connection, door.clusters, ENV, vector_D, 10, _USED)

    def hybrid(words: str) -> None:
        with database.asking() as connection:
            look(connection, door.clusters, words, Wanted(env=ENV))

    rounds: list[dict[str, list[float]]] = []

    def timed(call: Callable[[Any], Any], asked: object) -> Any:
        seconds, answer = _timed(lambda: call(asked))
        rounds[-1].setdefault(call.__name__, []).append(seconds)
        return answer

    say("asking")
    recalls = []
    for _ in range(ROUNDS):
        rounds.append({})
        asked = [_changed(rng, texts[int(rng.integers(len(texts)))]) for _ in range(queries)]
        for number, (text, vector_D) in enumerate(zip(asked, embedder.embed(asked), strict=True)):
            timed(assign, vector_D)
            hits = timed(nearest, vector_D)
            timed(hybrid, f"{_one(rng, 'state')} {_one(rng, 'furniture')}")
            timed(door.search, Query(ENV, text))
            if number < BRUTE:
                tenth = timed(brute, vector_D)
                recalls.append(sum(similar >= tenth - _ROUNDED for _, similar in hits) / 10)
    say("inserting")
    fresh = [
        NewExperience(ENV, _changed(rng, texts[int(rng.integers(len(texts)))]), f"try {i} again", "skill", 0.5)
        for i in range(_INSERTED)
    ]
    insert_s = sum(_timed(lambda: door.add(fresh[i : i + 100]))[0] for i in range(0, _INSERTED, 100))  # noqa: B023
    with database.reading() as connection:
        clusters = connection.execute(sa.select(sa.func.count()).select_from(CLUSTERS)).scalar_one()

    def at(name: str, percent: int) -> float:
        return round(min(float(np.percentile(took[name], percent)) for took in rounds) * 1e3, 2)

    return BenchReport(
        database=database.dialect,
        index=door.clusters.kind or "",
        experiences=len(of_N),
        clusters=clusters,
        fill_s=fill_s,
        index_s=round(index_s, 2),
        insert_per_s=round(_INSERTED / insert_s),
        assign_per_s=round(max(len(took["assign"]) / sum(took["assign"]) for took in rounds)),
        retrieve_p50_ms=at("search", 50),
        retrieve_p99_ms=at("search", 99),
        hybrid_p50_ms=at("hybrid", 50),
        hybrid_p99_ms=at("hybrid", 99),
        vector_p50_ms=at("nearest", 50),
        vector_p99_ms=at("nearest", 99),
        brute_p50_ms=at("brute", 50),
        recall_at_10=round(float(np.mean(recalls)), 4),
    )


_USED = Candidates(EXPERIENCES.c.retired.is_(None))


def _fill(database: Database, embedder: Embedder, rng: np.random.Generator, count: int) -> Made:
    first = [_situation(rng) for _ in range(max(1, count // _A_CLUSTER))]
    first_KD = embedder.embed(first)
    texts, vectors, cluster_of = list(first), [first_KD], list(range(len(first)))
    wanted = max(len(first), count // _A_SITUATION)
    while len(texts) < wanted:
        of = rng.integers(len(first), size=min(_ROWS, wanted - len(texts)))
        changed = [_changed(rng, first[int(i)]) for i in of]
        rows_ND = embedder.embed(changed)
        alike = np.flatnonzero((rows_ND * first_KD[of]).sum(1) >= 0.85)
        texts += [changed[int(i)] for i in alike]
        cluster_of += of[alike].tolist()
        vectors.append(rows_ND[alike])
    rows_SD = np.concatenate(vectors)
    of_N = np.concatenate([np.arange(len(texts)), rng.integers(len(texts), size=max(0, count - len(texts)))])[:count]
    now = datetime.now(UTC)
    packed = [pack_vector(row_D) for row_D in rows_SD]
    shared: dict[str, Any] = {"env": ENV, "embedder": embedder.name, "created": now}
    ids: list[int] = []
    for begin in range(0, len(first), _ROWS):
        with database.writing() as connection:
            part = range(begin, min(len(first), begin + _ROWS))
            rows = [{**shared, "situation": first[i], "vector": packed[i]} for i in part]
            insert = CLUSTERS.insert().returning(CLUSTERS.c.id, sort_by_parameter_order=True)
            ids += connection.execute(insert, rows).scalars().all()
    for rows in _lessons(rng, of_N, texts):
        for row in rows:
            at = int(row.pop("at"))
            row |= {**shared, "vector": packed[at], "cluster": ids[cluster_of[at]]}
        with database.writing() as connection:
            connection.execute(EXPERIENCES.insert(), rows)
    with database.writing() as connection:
        connection.execute(sa.text("ANALYZE"))
    return rows_SD, of_N, texts


def _lessons(rng: np.random.Generator, of_N: np.ndarray, texts: list[str]) -> Iterator[list[dict[str, Any]]]:
    for begin in range(0, len(of_N), _ROWS):
        rows = []
        for number in range(begin, min(len(of_N), begin + _ROWS)):
            at = int(of_N[number])
            kind = "failure" if number % 3 == 0 else "skill"
            advice = f"Look for the {_one(rng, 'thing')} first, then try the {_one(rng, 'furniture')} ({number})."
            score = float(rng.random())
            rows.append(
                {
                    "at": at,
                    "digest": digest_of(ENV, kind, texts[at], advice),
                    "kind": kind,
                    "situation": texts[at],
                    "advice": advice,
                    "level": "task" if number % 2 else "step",
                    "first_score": score,
                    "score": score,
                    "shown": 0,
                }
            )
        yield rows


def _situation(rng: np.random.Generator) -> str:
    parts = [f"You are in the {_one(rng, 'look')} {_one(rng, 'room')}."]
    for _ in range(int(rng.integers(2, 6))):
        place = f"{_one(rng, 'look')} {_one(rng, 'furniture')} {rng.integers(9)}"
        parts.append(f"The {place} is {_one(rng, 'state')}.")
    things = [f"a {_one(rng, 'look')} {_one(rng, 'thing')} {rng.integers(9)}" for _ in range(int(rng.integers(2, 6)))]
    parts.append(f"You see {', '.join(things)}.")
    parts.append(f"Your task is to put a {_one(rng, 'look')} {_one(rng, 'thing')} in the {_one(rng, 'furniture')}.")
    return " ".join(parts)


def _changed(rng: np.random.Generator, text: str) -> str:
    """The situation with two words replaced."""
    words = text.split(" ")
    for _ in range(2):
        words[int(rng.integers(len(words)))] = _one(rng, "look")
    return " ".join(words)


def _one(rng: np.random.Generator, kind: str) -> str:
    return _OF[kind][int(rng.integers(len(_OF[kind])))]


def _timed(call: Callable[[], Any]) -> tuple[float, Any]:
    began = time.perf_counter()
    answer = call()
    return time.perf_counter() - began, answer
