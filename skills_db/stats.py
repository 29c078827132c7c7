"""What a memory holds, counted."""

from __future__ import annotations

from dataclasses import replace

import sqlalchemy as sa

from skills_db.models import Base, Episode, Experience
from skills_db.tables import PLAYED
from skills_db.types import EnvStat, LevelStat, Stats

__all__ = ["read_stats"]


def read_stats(connection: sa.Connection) -> Stats:
    """Rows of each table, and how each environment has gone."""
    tables = sorted(Base.metadata.tables.values(), key=lambda table: table.name)
    rows = {
        table.name: connection.execute(sa.select(sa.func.count()).select_from(table)).scalar_one() for table in tables
    }
    valid = sa.func.count(Episode.reward)
    won = sa.func.sum(sa.case((sa.and_(Episode.success, Episode.reward.is_not(None)), 1), else_=0))
    query = (
        sa.select(
            Episode.env,
            sa.func.count().label("episodes"),
            valid.label("valid"),
            won.label("won"),
            sa.func.avg(Episode.reward).label("reward"),
            sa.func.avg(Episode.turns).label("turns"),
        )
        .where(PLAYED)
        .group_by(Episode.env)
        .order_by(Episode.env)
    )
    envs = [
        EnvStat(
            env=row.env,
            episodes=row.episodes,
            valid=row.valid,
            success=row.won / row.valid if row.valid else None,
            reward=row.reward,
            turns=float(row.turns),
        )
        for row in connection.execute(query)
    ]
    return Stats(rows=rows, envs=envs, levels=_levels(connection))


def _levels(connection: sa.Connection) -> list[LevelStat]:
    """Live and retired experiences of each (env, kind, level), in this order."""
    level = (Experience.env, Experience.kind, Experience.level)
    why = sa.case((Experience.retired.is_(None), None), else_=sa.func.coalesce(Experience.retired_why, "pruned"))
    query = sa.select(
        *level, why.label("why"), sa.func.count().label("n"), sa.func.avg(Experience.score).label("score")
    )
    found: dict[tuple[str, str, str], LevelStat] = {}
    for row in connection.execute(query.group_by(*level, why).order_by(*level, why)):
        key = (row.env, row.kind, row.level)
        kept = found.get(key) or LevelStat(*key, live=0, score=None, retired={})
        if row.why is None:
            kept = replace(kept, live=row.n, score=row.score)
        else:
            kept.retired[row.why] = row.n
        found[key] = kept
    return list(found.values())
