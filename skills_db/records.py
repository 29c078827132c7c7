"""One record by its id, or by the beginning of it."""

from __future__ import annotations

import sqlalchemy as sa

from skills_db.errors import UnknownRecord
from skills_db.models import Episode, Experience, Run, Skill
from skills_db.types import ExperienceRow, RunRow

__all__ = ["live_experiences", "read_experience", "read_run", "resolve"]


def resolve(connection: sa.Connection, prefix: str) -> tuple[str, str]:
    """(kind, id) of the one record that `prefix` names; a whole id wins over the beginning of another.

    An experience is named by its whole number. Raises UnknownRecord, which lists what begins so where there is more
    than one.
    """
    whole: list[tuple[str, str]] = []
    begun: list[tuple[str, str]] = []
    if prefix.isdecimal() and prefix.isascii() and int(prefix) < 2**63:
        found = connection.execute(sa.select(Experience.id).where(Experience.id == int(prefix))).scalar_one_or_none()
        whole += [("experience", str(found))] if found is not None else []
    for kind, column in (("run", Run.id), ("episode", Episode.id), ("skill", Skill.name)):
        query = sa.select(column).where(column.startswith(prefix, autoescape=True)).order_by(column != prefix, column)
        ids = connection.execute(query.limit(4)).scalars().all() if prefix else []
        whole += [(kind, id) for id in ids if id == prefix]
        begun += [(kind, id) for id in ids if id != prefix]
    found_here = whole or begun
    if not found_here:
        raise UnknownRecord(f"nothing has an id that begins with '{prefix}'")
    if len(found_here) > 1:
        listed = ", ".join(f"{kind} {id}" for kind, id in found_here[:4])
        raise UnknownRecord(f"'{prefix}' may be {listed}{' and more' if len(found_here) > 4 else ''}: type more of it")
    return found_here[0]


def read_run(connection: sa.Connection, id: str) -> RunRow:
    """One run with its count of episodes. Raises UnknownRecord."""
    row = connection.execute(sa.select(Run.__table__).where(Run.id == id)).one_or_none()
    if row is None:
        raise UnknownRecord(f"no run has the id '{id}'")
    count = connection.execute(sa.select(sa.func.count()).where(Episode.run == id)).scalar_one()
    return RunRow(id=row.id, name=row.name, created=row.created.isoformat(), config=row.config, episodes=count)


def read_experience(connection: sa.Connection, id: int) -> ExperienceRow:
    """One experience. Raises UnknownRecord."""
    row = connection.execute(sa.select(Experience.__table__).where(Experience.id == id)).one_or_none()
    if row is None:
        raise UnknownRecord(f"no experience has the id {id}")
    return ExperienceRow(
        id=row.id,
        env=row.env,
        kind=row.kind,
        situation=row.situation,
        advice=row.advice,
        level=row.level,
        score=row.score,
        first_score=row.first_score,
        shown=row.shown,
        episode=row.episode,
        turn=row.turn,
        created=row.created.isoformat(),
        retired=row.retired.isoformat() if row.retired else None,
        retired_why=row.retired_why,
        merged_into=row.merged_into,
    )


def live_experiences(connection: sa.Connection, env: str) -> dict[str, list[int]]:
    """Ids of an environment's experiences that are in use, by kind, the oldest first."""
    found: dict[str, list[int]] = {"skill": [], "failure": []}
    query = sa.select(Experience.kind, Experience.id).where(Experience.env == env, Experience.retired.is_(None))
    for row in connection.execute(query.order_by(Experience.id)):
        found[row.kind].append(row.id)
    return found
