"""Success with an entry against success without it, on the same tasks.

A task is (env, key). Of each task in which an entry was shown, the valid episodes in which it was shown stand against
those in which it was not, demonstrations left out; a task that has only one of the two says nothing and is left out.
The tasks are weighted as Mantel and Haenszel do, w = n1 n0 / (n1 + n0) made to sum to 1, so that a task played often
with the entry and seldom without cannot pass for a difference. The interval is Newcombe's hybrid score interval of the
difference (1998, method 10) on the weighted rates p1, p0:

    (p1 - p0) - sqrt((p1 - l1)^2 + (u0 - p0)^2),  (p1 - p0) + sqrt((u1 - p1)^2 + (p0 - l0)^2)

where (l, u) is Wilson's interval of a rate. For several tasks Wilson's n is the effective 1 / sum(w^2 / n): ours; for
one task it is n, and the whole is Newcombe's. It is an association: memory shows an entry where play has come to.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any

import sqlalchemy as sa

from skills_db.tables import EPISODES, EXPERIENCES, PLAYED, TURNS, USES, VERSIONS

__all__ = ["Effect", "Stratum", "effect_of", "effects_of_experiences", "effects_of_versions", "newcombe"]

Task = tuple[str, str]
Tally = tuple[int, int]
"""Valid episodes, and how many of them were won."""


@dataclass(frozen=True, slots=True)
class Stratum:
    """One task: episodes with the entry and of these won, episodes without it and of these won."""

    shown: int
    shown_won: int
    other: int
    other_won: int


@dataclass(frozen=True, slots=True)
class Effect:
    """How it went with an entry and without it."""

    tasks: int
    """Tasks that have episodes of both sorts; the counts below are theirs."""
    shown: int
    """Valid episodes in which the entry was shown."""
    shown_won: int
    other: int
    """Valid episodes in which it was not."""
    other_won: int
    unmatched: int
    """Valid episodes in which it was shown, of tasks that were never played without it."""
    difference: float | None = None
    """Weighted success rate with it less that without it; None where no task has both."""
    low: float | None = None
    high: float | None = None
    confidence: float = 0.95
    """Of the interval from `low` to `high`."""


def newcombe(strata: Sequence[Stratum], confidence: float = 0.95) -> tuple[float, float, float]:
    """(difference, low, high) over tasks that have episodes of both sorts, at least one."""
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    raw = [s.shown * s.other / (s.shown + s.other) for s in strata]
    weights = [weight / math.fsum(raw) for weight in raw]
    p1 = math.fsum(w * s.shown_won / s.shown for w, s in zip(weights, strata, strict=True))
    p0 = math.fsum(w * s.other_won / s.other for w, s in zip(weights, strata, strict=True))
    l1, u1 = _wilson(p1, 1 / math.fsum(w * w / s.shown for w, s in zip(weights, strata, strict=True)), z)
    l0, u0 = _wilson(p0, 1 / math.fsum(w * w / s.other for w, s in zip(weights, strata, strict=True)), z)
    return p1 - p0, p1 - p0 - math.hypot(p1 - l1, u0 - p0), p1 - p0 + math.hypot(u1 - p1, p0 - l0)


def effect_of(shown: Mapping[Task, Tally], others: Mapping[Task, Tally], confidence: float = 0.95) -> Effect:
    """The comparison of tallies by task."""
    strata = []
    unmatched = 0
    for task, (n, won) in shown.items():
        other, other_won = others.get(task, (0, 0))
        if other:
            strata.append(Stratum(n, won, other, other_won))
        else:
            unmatched += n
    interval: Any = newcombe(strata, confidence) if strata else (None, None, None)
    return Effect(
        tasks=len(strata),
        shown=sum(s.shown for s in strata),
        shown_won=sum(s.shown_won for s in strata),
        other=sum(s.other for s in strata),
        other_won=sum(s.other_won for s in strata),
        unmatched=unmatched,
        difference=interval[0],
        low=interval[1],
        high=interval[2],
        confidence=confidence,
    )


def effects_of_experiences(
    connection: sa.Connection,
    condition: sa.ColumnElement[bool],
    confidence: float = 0.95,
    *,
    together: bool = False,
) -> dict[int, Effect]:
    """The effect of each experience that meets `condition` and was shown in a valid episode.

    `together`: the confidence is that of all their intervals at once, after Bonferroni.
    """
    showing = (
        sa.select(USES.c.experience.label("entry"), TURNS.c.episode)
        .join(TURNS, TURNS.c.id == USES.c.turn)
        .join(EXPERIENCES, EXPERIENCES.c.id == USES.c.experience)
        .where(condition)
    )
    shown, played = _tallies(connection, showing)
    each = 1 - (1 - confidence) / len(shown) if together and shown else confidence
    return {entry: effect_of(tasks, _rest(played, tasks), each) for entry, tasks in shown.items()}


def effects_of_versions(
    connection: sa.Connection, skill: int, confidence: float = 0.95
) -> tuple[Effect, dict[int, Effect]]:
    """The effect of a skill, and that of each of its versions against no version of it."""

    def showing(entry: Any) -> Any:
        return (
            sa.select(entry.label("entry"), TURNS.c.episode)
            .join_from(USES, TURNS, TURNS.c.id == USES.c.turn)
            .join(VERSIONS, VERSIONS.c.id == USES.c.skill_version)
            .where(VERSIONS.c.skill == skill)
        )

    whole, played = _tallies(connection, showing(VERSIONS.c.skill))
    each, _ = _tallies(connection, showing(VERSIONS.c.id))
    tasks = whole.get(skill, {})
    rest = _rest(played, tasks)
    return effect_of(tasks, rest, confidence), {
        version: effect_of(shown, rest, confidence) for version, shown in each.items()
    }


def _tallies(connection: sa.Connection, showing: Any) -> tuple[dict[int, dict[Task, Tally]], dict[Task, Tally]]:
    """Tallies by entry and task of the episodes an entry was shown in, and by task of all episodes of these tasks."""
    pairs = showing.distinct().subquery()
    won = sa.func.sum(sa.case((EPISODES.c.success, 1), else_=0)).label("won")
    n = sa.func.count().label("n")
    task = (EPISODES.c.env, EPISODES.c.key)
    valid = sa.and_(EPISODES.c.reward.is_not(None), PLAYED)
    with_it = (
        sa.select(pairs.c.entry, *task, n, won)
        .join_from(pairs, EPISODES, EPISODES.c.number == pairs.c.episode)
        .where(valid)
        .group_by(pairs.c.entry, *task)
    )
    shown: dict[int, dict[Task, Tally]] = {}
    for row in connection.execute(with_it):
        shown.setdefault(row.entry, {})[row.env, row.key] = (int(row.n), int(row.won))
    if not shown:
        return {}, {}
    tasks = (
        sa.select(*task)
        .join_from(pairs, EPISODES, EPISODES.c.number == pairs.c.episode)
        .where(valid)
        .distinct()
        .subquery()
    )
    same = sa.and_(EPISODES.c.env == tasks.c.env, EPISODES.c.key == tasks.c.key)
    every = sa.select(*task, n, won).join_from(EPISODES, tasks, same).where(valid).group_by(*task)
    return shown, {(row.env, row.key): (int(row.n), int(row.won)) for row in connection.execute(every)}


def _rest(played: Mapping[Task, Tally], shown: Mapping[Task, Tally]) -> dict[Task, Tally]:
    return {task: (played[task][0] - n, played[task][1] - won) for task, (n, won) in shown.items()}


def _wilson(p: float, n: float, z: float) -> tuple[float, float]:
    middle = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)
