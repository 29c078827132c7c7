"""Experiences in and out of SQL: add, search, credit, prune.

An experience's score is what it came with until it is first credited, and then the mean of what was credited.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from skills_db.cluster import DELTA, Clusters
from skills_db.database import Database
from skills_db.embedders.base import Embedder
from skills_db.embedders.hashing import Hashing
from skills_db.episodes import insert_ignoring
from skills_db.errors import BadRecord, UnknownRecord
from skills_db.indexes.base import Ids
from skills_db.links import LINKED, Links
from skills_db.models import Episode, Turn
from skills_db.neighbours import RINGS, Candidates, nearest_experiences
from skills_db.tables import EXPERIENCES, LINKS, USES
from skills_db.types import Hit, NewExperience, Query
from skills_db.vectors import Vector, pack_vector

__all__ = ["LONGEST", "Experiences", "check_experience", "digest_of", "is_too_long"]

LONGEST = 200_000
"""Characters of a situation and its advice together: PostgreSQL refuses the words of a mebibyte, and nobody is shown
so much."""

# Made once: to put a statement together takes longer than to run it.
_OF_KIND = Candidates(EXPERIENCES.c.kind == sa.bindparam("kind"), EXPERIENCES.c.retired.is_(None))
_HITS = sa.select(EXPERIENCES.c.id, EXPERIENCES.c.kind, EXPERIENCES.c.advice, EXPERIENCES.c.score)
_NAMED = _HITS.where(EXPERIENCES.c.id.in_(sa.bindparam("ids", expanding=True)))


def _best_of(kind: str) -> sa.Select[Any]:
    """The best of a kind that a cluster has, its parameter of the kind's name says how many."""
    in_use = (EXPERIENCES.c.kind == kind, EXPERIENCES.c.retired.is_(None))
    cluster = sa.bindparam("cluster", type_=sa.BigInteger)
    own = _HITS.where(EXPERIENCES.c.cluster == cluster, *in_use)
    linked = _HITS.join(LINKS, LINKS.c.experience == EXPERIENCES.c.id).where(LINKS.c.cluster == cluster, *in_use)
    rows = sa.bindparam(kind, type_=sa.Integer)

    def best(query: sa.Select[Any], columns: Any) -> sa.Select[Any]:
        return query.order_by(columns.score.desc(), columns.id.desc()).limit(rows)

    # Each by itself first, so that those of a large cluster come from its index.
    either = sa.union_all(*(sa.select(best(part, EXPERIENCES.c).subquery()) for part in (own, linked))).subquery()
    return sa.select(best(sa.select(either), either.c).subquery())


_BEST = sa.union_all(_best_of("skill"), _best_of("failure"))


def digest_of(env: str, kind: str, situation: str, advice: str) -> str:
    """What makes two experiences the same one."""
    whole = "\x1f".join((env, kind, situation, advice))
    return hashlib.sha256(whole.encode("utf-8", "replace")).hexdigest()


class Experiences:
    """The four verbs over one database."""

    def __init__(
        self, database: Database, embedder: Embedder | None = None, delta: float = DELTA, index: str | None = None
    ) -> None:
        self._database = database
        self._embedder: Embedder = embedder or Hashing()
        self.clusters = Clusters(database, self._embedder, delta, index)
        self._links = Links(database, self.clusters)

    def add(self, items: Iterable[NewExperience]) -> list[int]:
        """Keep experiences, all or none, and return their ids; one that is there already is taken up again if retired.

        Raises BadRecord.
        """
        kept = list(items)
        for item in kept:
            check_experience(item)
        with self._database.writing() as connection:
            return self.insert(connection, kept)

    def insert(self, connection: sa.Connection, items: Sequence[NewExperience]) -> list[int]:
        """`add` within an open transaction, for items that were checked."""
        vectors_ND = self._embedder.embed([item.situation for item in items])
        ids = []
        for item, vector in zip(items, vectors_ND, strict=True):
            digest = digest_of(item.env, item.kind, item.situation, item.advice)
            again = (
                sa.update(EXPERIENCES)
                .where(EXPERIENCES.c.digest == digest)
                .values(retired=None, retired_why=None, merged_into=None)
            )
            found = connection.execute(again.returning(EXPERIENCES.c.id)).scalar_one_or_none()
            if found is None:
                cluster = self.clusters.assign(connection, item.env, item.situation, vector)
                found = self._insert_one(connection, item, digest, vector, cluster)
            ids.append(int(found))
        return ids

    def search(self, query: Query) -> list[Hit]:
        """The best of the situation's cluster; of a kind the cluster has none of, those of the nearest situations.

        Of these, the ones that are at least delta similar come first, by score, and are linked to the cluster, which
        has them from then on. Skills come first, then failures. A hit's distance is 1 - cosine similarity, of its
        cluster's representative or of its own situation.
        """
        vector_D = self._embedder.embed([query.situation])[0]
        hits: list[Hit] = []
        alike: list[tuple[int, float]] = []
        limits = {"skill": query.skills, "failure": query.failures}
        with self._database.asking() as connection:
            at = self.clusters.around(connection, query.env, vector_D, RINGS[1])
            own = at.best[0] if at.best is not None and at.best[1] >= self.clusters.delta else None
            best = [] if own is None or at.best is None else self._of_cluster(connection, own, limits, 1.0 - at.best[1])
            for kind, limit in limits.items():
                if limit <= 0 or at.best is None:
                    continue
                found = [hit for hit in best if hit.kind == kind]
                if not found:
                    found, linked = self._by_vector(connection, query.env, kind, limit, vector_D, at.ids)
                    alike += linked
                hits += found
        self._links.keep(query.env, query.situation, vector_D, own, alike)
        return hits

    def credit(self, ids: Sequence[int], reward: float, episode: str | None = None) -> None:
        """Say what came of showing experiences `ids`: a row of `uses` each, and the running mean of their rewards.

        With `episode`, the showings that were kept with its turns get the reward instead of a row of their own, once;
        crediting them again changes nothing. Raises UnknownRecord for an id or episode that is not there, BadRecord.
        """
        if not math.isfinite(reward):
            raise BadRecord(f"a credit of {reward} cannot be averaged: give a finite reward")
        wanted = sorted(set(ids))
        with self._database.writing() as connection:
            known = connection.execute(
                sa.select(EXPERIENCES.c.id)
                .where(EXPERIENCES.c.id.in_(wanted))
                .order_by(EXPERIENCES.c.id)
                .with_for_update()
            ).scalars()
            if missing := sorted(set(wanted) - set(known)):
                raise UnknownRecord(f"no experience has the id {missing[0]}")
            for id in wanted:
                shown = 1 if episode is None else _settle(connection, id, episode, reward)
                if episode is None:
                    row = {"experience": id, "reward": reward, "created": datetime.now(UTC)}
                    connection.execute(USES.insert(), row)
                if shown:
                    count = EXPERIENCES.c.shown
                    earlier = sa.case((count == 0, 0.0), else_=EXPERIENCES.c.score * count)
                    connection.execute(
                        sa.update(EXPERIENCES)
                        .where(EXPERIENCES.c.id == id)
                        .values(shown=count + shown, score=(earlier + reward * shown) / (count + shown))
                    )

    def prune(self, env: str, keep: int) -> int:
        """Retire all but the `keep` best experiences of each kind of an environment and return how many those were."""
        if keep < 0:
            raise BadRecord(f"{keep} experiences cannot be kept: say 0 or more")
        rank = (
            sa.func.row_number()
            .over(
                partition_by=EXPERIENCES.c.kind,
                order_by=(EXPERIENCES.c.score.desc(), EXPERIENCES.c.shown.desc(), EXPERIENCES.c.id.desc()),
            )
            .label("rank")
        )
        ranked = (
            sa.select(EXPERIENCES.c.id, rank)
            .where(EXPERIENCES.c.env == env, EXPERIENCES.c.retired.is_(None))
            .subquery()
        )
        with self._database.writing() as connection:
            worst = connection.execute(sa.select(ranked.c.id).where(ranked.c.rank > keep)).scalars().all()
            retire = sa.update(EXPERIENCES).where(EXPERIENCES.c.id == sa.bindparam("worst"))
            if worst:
                now = datetime.now(UTC)
                connection.execute(retire.values(retired=now, retired_why="pruned"), [{"worst": id} for id in worst])
        return len(worst)

    def _insert_one(
        self, connection: sa.Connection, item: NewExperience, digest: str, vector: Vector, cluster: int
    ) -> int:
        row = {
            "digest": digest,
            "env": item.env,
            "kind": item.kind,
            "situation": item.situation,
            "advice": item.advice,
            "level": item.level,
            "first_score": item.score,
            "score": item.score,
            "shown": 0,
            "cluster": cluster,
            "embedder": self._embedder.name,
            "vector": pack_vector(vector),
            "episode": item.episode,
            "turn": item.turn,
            "created": datetime.now(UTC),
        }
        insert = insert_ignoring(connection, EXPERIENCES, ["digest"]).returning(EXPERIENCES.c.id)
        found = connection.execute(insert, row).scalar_one_or_none()
        if found is None:
            found = connection.execute(sa.select(EXPERIENCES.c.id).where(EXPERIENCES.c.digest == digest)).scalar_one()
        return int(found)

    def _of_cluster(
        self, connection: sa.Connection, cluster: int, limits: Mapping[str, int], distance: float
    ) -> list[Hit]:
        """Its best, up to so many of each kind; the best of a kind first."""
        counts = {kind: max(0, limit) for kind, limit in limits.items()}
        rows = connection.execute(_BEST, {"cluster": cluster, **counts}).all()
        return [_hit(row, "cluster", distance) for row in sorted(rows, key=lambda row: (-row.score, -row.id))]

    def _by_vector(
        self, connection: sa.Connection, env: str, kind: str, limit: int, vector_D: Vector, near: Ids
    ) -> tuple[list[Hit], list[tuple[int, float]]]:
        """The hits, and (id, similarity) of those that are at least delta similar, of which there may be more."""
        count = max(limit, LINKED)
        found = nearest_experiences(connection, self.clusters, env, vector_D, count, _OF_KIND, {"kind": kind}, near)
        rows = {row.id: row for row in connection.execute(_NAMED, {"ids": [id for id, _ in found]})}
        alike = [each for each in found if each[1] >= self.clusters.delta]
        order = sorted(alike, key=lambda each: (-rows[each[0]].score, -each[0]))
        order += [each for each in found if each[1] < self.clusters.delta]
        return [_hit(rows[id], "vector", 1.0 - similarity) for id, similarity in order[:limit]], alike


def _settle(connection: sa.Connection, experience: int, episode: str, reward: float) -> int:
    """Give the reward to the episode's uncredited showings of an experience, and say how many there were."""
    number = connection.execute(sa.select(Episode.number).where(Episode.id == episode)).scalar_one_or_none()
    if number is None:
        raise UnknownRecord(f"no episode has the id '{episode}'")
    turns = sa.select(Turn.id).where(Turn.episode == number)
    change = (
        sa.update(USES)
        .where(USES.c.experience == experience, USES.c.reward.is_(None), USES.c.turn.in_(turns))
        .values(reward=reward)
    )
    return int(connection.execute(change).rowcount)


def check_experience(item: NewExperience, *, too_long: bool = True) -> None:
    """Raises BadRecord where it could not be kept, for its length only where `too_long` says so.

    Admission refuses such a one by itself: a world may say anything, and the others teach all the same.
    """
    if item.kind not in ("skill", "failure"):
        raise BadRecord(f"an experience is a 'skill' or a 'failure', not '{item.kind}'")
    if not math.isfinite(item.score):
        raise BadRecord(f"an experience of {item.env} has score {item.score}: a score is a finite number")
    if not item.env or not item.advice.strip():
        raise BadRecord("an experience needs an environment and some advice")
    if too_long and is_too_long(item):
        raise BadRecord(
            f"an experience of {item.env} has more than {LONGEST} characters: say what matters in the situation"
        )


def is_too_long(item: NewExperience) -> bool:
    """Whether it has more than LONGEST characters."""
    return len(item.situation) + len(item.advice) > LONGEST


def _hit(row: Any, match: Literal["cluster", "vector"], distance: float) -> Hit:
    return Hit(id=row.id, advice=row.advice, kind=row.kind, score=row.score, match=match, distance=max(0.0, distance))
