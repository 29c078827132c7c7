"""Admission and forgetting: `Rules` kept over the experiences of a store.

Both run in one transaction, one writer of an environment at a time, so a level never holds more than its capacity.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import sqlalchemy as sa

from skills_db.effect import effects_of_experiences
from skills_db.embedders.base import Embedder
from skills_db.errors import UnknownRecord
from skills_db.experiences import Experiences, digest_of, is_too_long
from skills_db.rules import Changes, Merged, Reason, Refusal, Rules
from skills_db.tables import EPISODES, EXPERIENCES, PLAYED, USES
from skills_db.types import NewExperience

__all__ = ["admit", "forget", "retire", "retire_by_hand"]

_KEPT_OUT = ("harmful", "hand")
"""Retired for one of these, an entry is not taken up again because somebody offers it again."""


def admit(
    connection: sa.Connection,
    experiences: Experiences,
    embedder: Embedder,
    items: Sequence[NewExperience],
    rules: Rules,
) -> Changes:
    """Offer checked items, the best first; what became of them."""
    _lock(connection, {item.env for item in items})
    step = _Step(connection, experiences, embedder, rules)
    for item in sorted(items, key=lambda item: -item.score):
        step.offer(item)
    return step.changes()


def forget(connection: sa.Connection, embedder: Embedder, env: str, rules: Rules) -> Changes:
    """Retire what is harmful, unused, said twice or beyond the capacity of its level, in this order."""
    _lock(connection, {env})
    live = sa.and_(EXPERIENCES.c.env == env, EXPERIENCES.c.retired.is_(None))
    retired: dict[Reason, list[int]] = {"harmful": [], "unused": [], "score": []}
    if rules.harmful is not None:
        effects = effects_of_experiences(connection, live, rules.harmful, together=True)
        retired["harmful"] = sorted(
            id
            for id, effect in effects.items()
            if effect.high is not None and effect.high < 0 and min(effect.shown, effect.other) >= rules.harmful_episodes
        )
    retire(connection, retired["harmful"], "harmful")
    retired["unused"] = _unused(connection, env, rules)
    retire(connection, retired["unused"], "unused")
    merged: list[Merged] = []
    for kind, level in connection.execute(sa.select(EXPERIENCES.c.kind, EXPERIENCES.c.level).where(live).distinct()):
        zone = _Zone(connection, embedder, env, kind, level)
        if rules.merge is not None:
            merged += zone.merge(rules.merge)
        capacity = rules.capacity(kind)
        if capacity is not None:
            retired["score"] += zone.overflow(capacity)
    for pair in merged:
        retire(connection, [pair.entry], "merged", pair.into)
    retire(connection, retired["score"], "score")
    return Changes(merged=tuple(merged), retired={why: tuple(ids) for why, ids in retired.items() if ids})


def retire(connection: sa.Connection, ids: Sequence[int], why: Reason, into: int | None = None) -> None:
    """Put entries away in the open transaction."""
    if ids:
        change = sa.update(EXPERIENCES).where(EXPERIENCES.c.id == sa.bindparam("entry"))
        change = change.values(retired=datetime.now(UTC), retired_why=why, merged_into=into)
        connection.execute(change, [{"entry": id} for id in ids])


def retire_by_hand(connection: sa.Connection, id: int, *, back: bool) -> bool:
    """Put an experience away, or take it up again; False where that is so already. Raises UnknownRecord."""
    if connection.execute(sa.select(EXPERIENCES.c.id).where(EXPERIENCES.c.id == id)).one_or_none() is None:
        raise UnknownRecord(f"no experience has the id {id}")
    state = EXPERIENCES.c.retired.is_not(None) if back else EXPERIENCES.c.retired.is_(None)
    values: dict[str, Any] = {"retired": None, "retired_why": None, "merged_into": None}
    if not back:
        values = {"retired": datetime.now(UTC), "retired_why": "hand"}
    change = sa.update(EXPERIENCES).where(EXPERIENCES.c.id == id, state)
    return bool(connection.execute(change.values(values)).rowcount)


class _Zone:
    """The live entries of one environment, kind and level, the best first."""

    def __init__(self, connection: sa.Connection, embedder: Embedder, env: str, kind: str, level: str) -> None:
        rows = connection.execute(
            sa.select(EXPERIENCES.c.id, EXPERIENCES.c.advice, EXPERIENCES.c.score, EXPERIENCES.c.shown)
            .where(
                EXPERIENCES.c.env == env,
                EXPERIENCES.c.kind == kind,
                EXPERIENCES.c.level == level,
                EXPERIENCES.c.retired.is_(None),
            )
            .order_by(EXPERIENCES.c.score.desc(), EXPERIENCES.c.shown.desc(), EXPERIENCES.c.id)
        ).all()
        self.scores: dict[int, float] = {row.id: row.score for row in rows}
        self.shown: dict[int, int] = {row.id: row.shown for row in rows}
        self._ids = [row.id for row in rows]
        self._rows_ND = embedder.embed([row.advice for row in rows]) if rows else _none(embedder)

    def nearest(self, vector_D: npt.NDArray[np.float32]) -> tuple[int, float] | None:
        """(id, cosine) of the entry whose advice says most nearly the same."""
        if not self._ids:
            return None
        cosine_N = self._rows_ND @ vector_D
        best = int(np.argmax(cosine_N))
        return self._ids[best], float(cosine_N[best])

    def add(self, id: int, score: float, shown: int, vector_D: npt.NDArray[np.float32]) -> None:
        """One more entry."""
        self.scores[id], self.shown[id] = score, shown
        self._ids.append(id)
        self._rows_ND = np.concatenate([self._rows_ND, vector_D[None]])

    def worst(self) -> int:
        """The entry that is first to go: the lowest score, of these the least shown, of these the oldest."""
        return min(self.scores, key=lambda id: (self.scores[id], self.shown[id], id))

    def drop_worst(self) -> int:
        """Take it out and say which it was."""
        worst = self.worst()
        self._keep([at for at, id in enumerate(self._ids) if id != worst])
        return worst

    def overflow(self, capacity: int) -> list[int]:
        """Those beyond the capacity, the first to go first."""
        order = sorted(self.scores, key=lambda id: (self.scores[id], self.shown[id], id))
        return order[: max(0, len(order) - capacity)]

    def merge(self, cosine: float) -> list[Merged]:
        """Keep of those that say the same the best one."""
        kept: list[int] = []
        kept_ND = np.empty_like(self._rows_ND)
        merged: list[Merged] = []
        for at, row_D in enumerate(self._rows_ND):
            similar_K = kept_ND[: len(kept)] @ row_D
            into = int(np.argmax(similar_K)) if kept else 0
            if kept and float(similar_K[into]) >= cosine:
                merged.append(Merged(self._ids[at], self._ids[kept[into]], float(similar_K[into])))
            else:
                kept_ND[len(kept)] = row_D
                kept.append(at)
        if merged:
            self._keep(kept)
        return merged

    def _keep(self, places: list[int]) -> None:
        self._ids = [self._ids[at] for at in places]
        self._rows_ND = self._rows_ND[places]
        self.scores = {id: self.scores[id] for id in self._ids}
        self.shown = {id: self.shown[id] for id in self._ids}


@dataclass
class _Step:
    """One evolution step."""

    connection: sa.Connection
    experiences: Experiences
    embedder: Embedder
    rules: Rules
    admitted: list[int] = field(default_factory=list)
    known: list[int] = field(default_factory=list)
    merged: list[Merged] = field(default_factory=list)
    refused: dict[Refusal, int] = field(default_factory=dict)
    replaced: list[int] = field(default_factory=list)
    rate: dict[str, int] = field(default_factory=dict)
    zones: dict[tuple[str, str, str], _Zone] = field(default_factory=dict)

    def offer(self, item: NewExperience) -> None:
        """Admit, merge or refuse one item."""
        found = self._find(item)
        if found is not None and (found.retired is None or found.retired_why == "merged"):
            self.known.append(found.id)
            return
        if found is not None and found.retired_why in _KEPT_OUT:
            self._refuse("retired")
            return
        if is_too_long(item):
            self._refuse("long")
            return
        # What was credited before is what it is worth; else what it comes with.
        score = found.score if found is not None and found.shown else item.score
        vector_D = self.embedder.embed([item.advice])[0]
        zone = self._zone(item)
        near = zone.nearest(vector_D)
        if near is not None and self.rules.merge is not None and near[1] >= self.rules.merge:
            self._merge(item, zone, *near)
            return
        limit, capacity = self.rules.rate(item.kind), self.rules.capacity(item.kind)
        if limit is not None and self.rate.get(item.kind, 0) >= limit:
            self._refuse("rate")
            return
        if capacity is not None and len(zone.scores) >= capacity:
            if not capacity or score <= zone.scores[zone.worst()]:
                self._refuse("score")
                return
            worst = zone.drop_worst()
            retire(self.connection, [worst], "score")
            self.replaced.append(worst)
        id = self._insert(item, score)
        self.rate[item.kind] = self.rate.get(item.kind, 0) + 1
        self.admitted.append(id)
        zone.add(id, score, found.shown if found is not None else 0, vector_D)

    def changes(self) -> Changes:
        """What happened."""
        return Changes(
            admitted=tuple(self.admitted),
            known=tuple(self.known),
            merged=tuple(self.merged),
            refused=self.refused,
            retired={"score": tuple(self.replaced)} if self.replaced else {},
        )

    def _find(self, item: NewExperience) -> Any:
        digest = digest_of(item.env, item.kind, item.situation, item.advice)
        columns = [EXPERIENCES.c[name] for name in ("id", "score", "shown", "retired", "retired_why")]
        return self.connection.execute(sa.select(*columns).where(EXPERIENCES.c.digest == digest)).one_or_none()

    def _insert(self, item: NewExperience, score: float) -> int:
        (id,) = self.experiences.insert(self.connection, [item])
        up = {"retired": None, "retired_why": None, "merged_into": None, "score": score, "level": item.level}
        self.connection.execute(sa.update(EXPERIENCES).where(EXPERIENCES.c.id == id).values(up))
        return id

    def _merge(self, item: NewExperience, zone: _Zone, into: int, cosine: float) -> None:
        id = self._insert(item, item.score)
        retire(self.connection, [id], "merged", into)
        self.merged.append(Merged(id, into, cosine))
        if not zone.shown[into] and item.score > zone.scores[into]:
            zone.scores[into] = item.score
            raised = sa.update(EXPERIENCES).where(EXPERIENCES.c.id == into).values(score=item.score)
            self.connection.execute(raised)

    def _refuse(self, why: Refusal) -> None:
        self.refused[why] = self.refused.get(why, 0) + 1

    def _zone(self, item: NewExperience) -> _Zone:
        key = (item.env, item.kind, item.level)
        if key not in self.zones:
            self.zones[key] = _Zone(self.connection, self.embedder, *key)
        return self.zones[key]


def _unused(connection: sa.Connection, env: str, rules: Rules) -> list[int]:
    since: list[datetime] = []
    if rules.unused_days is not None:
        since.append(datetime.now(UTC) - timedelta(days=rules.unused_days))
    if rules.unused_episodes is not None:
        newest = sa.select(EPISODES.c.created).where(EPISODES.c.env == env, PLAYED).order_by(EPISODES.c.number.desc())
        since += connection.execute(newest.offset(rules.unused_episodes - 1).limit(1)).scalars()
    if not since:
        return []
    last = (
        sa.select(EXPERIENCES.c.id, EXPERIENCES.c.created, sa.func.max(USES.c.created).label("used"))
        .outerjoin(USES, USES.c.experience == EXPERIENCES.c.id)
        .where(EXPERIENCES.c.env == env, EXPERIENCES.c.retired.is_(None))
        .group_by(EXPERIENCES.c.id, EXPERIENCES.c.created)
        .order_by(EXPERIENCES.c.id)
    )
    return [row.id for row in connection.execute(last) if max(row.created, row.used or row.created) < max(since)]


def _lock(connection: sa.Connection, envs: set[str]) -> None:
    """SQLite has one writer anyway. In one order, so that two steps over several environments cannot deadlock."""
    if connection.dialect.name == "postgresql":
        for env in sorted(envs):
            key = sa.func.hashtextextended(f"admission {env}", 0)
            connection.execute(sa.select(sa.func.pg_advisory_xact_lock(key)))


def _none(embedder: Embedder) -> npt.NDArray[np.float32]:
    return np.empty((0, embedder.dimensions), np.float32)
