"""A library as a file: JSON lines out of one database, for `skills_db.intake` to read into another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import sqlalchemy as sa

from skills_db import blobs, migrate
from skills_db.database import Database
from skills_db.lines import (
    EpisodeLine,
    ExperienceLine,
    Header,
    RunLine,
    ShownLine,
    SkillLine,
    TurnLine,
    UseLine,
    VersionLine,
    encode,
)
from skills_db.models import Episode, Experience, Run, Skill, SkillVersion, Turn, Use

__all__ = ["export_lines"]

_EPISODES = cast(sa.Table, Episode.__table__)
_EXPERIENCES = cast(sa.Table, Experience.__table__)
_RUNS = cast(sa.Table, Run.__table__)
_SKILLS = cast(sa.Table, Skill.__table__)
_TURNS = cast(sa.Table, Turn.__table__)
_USES = cast(sa.Table, Use.__table__)
_VERSIONS = cast(sa.Table, SkillVersion.__table__)


def export_lines(
    database: Database, *, env: str | None = None, run: str | None = None, episodes: bool = True
) -> Iterator[str]:
    """The library as JSON lines, of one state of the database; narrowed by environment or run.

    Narrowed, it still holds every experience and skill that was shown in an exported episode.
    """
    with database.reading() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield Header(schema_revision=migrate.head()).model_dump_json()
        numbers = sa.select(_EPISODES.c.number)
        if env is not None:
            numbers = numbers.where(_EPISODES.c.env == env)
        if run is not None:
            numbers = numbers.where(_EPISODES.c.run == run)
        chosen = sa.select(_EPISODES).where(_EPISODES.c.number.in_(numbers)).order_by(_EPISODES.c.number)
        runs = sa.select(_RUNS).order_by(_RUNS.c.created, _RUNS.c.id)
        lessons = sa.select(_EXPERIENCES).order_by(_EXPERIENCES.c.id)
        skills = sa.select(_SKILLS).order_by(_SKILLS.c.id)
        if env is not None or run is not None:
            shown = sa.select(_USES.c.experience).join(_TURNS, _TURNS.c.id == _USES.c.turn)
            shown = shown.where(_TURNS.c.episode.in_(numbers), _USES.c.experience.is_not(None))
            own = _EXPERIENCES.c.env == env if env is not None else sa.true()
            if run is not None:
                learned = _EXPERIENCES.c.episode.in_(sa.select(_EPISODES.c.id).where(_EPISODES.c.run == run))
                own = sa.and_(own, learned)
            lessons = lessons.where(_EXPERIENCES.c.id.in_(_with_merged(sa.or_(own, _EXPERIENCES.c.id.in_(shown)))))
            versions = sa.select(_VERSIONS.c.skill).join(_USES, _USES.c.skill_version == _VERSIONS.c.id)
            versions = versions.join(_TURNS, _TURNS.c.id == _USES.c.turn).where(_TURNS.c.episode.in_(numbers))
            skills = skills.where(_SKILLS.c.id.in_(versions))
            used = _RUNS.c.id.in_(sa.select(_EPISODES.c.run).where(_EPISODES.c.number.in_(numbers)))
            runs = runs.where(_RUNS.c.id == run) if run is not None else runs.where(used)
        for row in connection.execute(lessons):
            yield _experience_line(connection, row).model_dump_json()
        for row in connection.execute(skills):
            yield _skill_line(connection, row).model_dump_json()
        if not episodes:
            return
        for row in connection.execute(runs):
            yield RunLine(id=row.id, name=row.name, created=row.created, config=row.config).model_dump_json()
        digests = dict(connection.execute(sa.select(_EXPERIENCES.c.id, _EXPERIENCES.c.digest)).tuples().all())
        for row in connection.execute(chosen).yield_per(64):
            yield _episode_line(connection, row, digests).model_dump_json()


def _with_merged(chosen: sa.ColumnElement[bool]) -> Any:
    """The ids of the chosen experiences and of those they were merged into."""
    found = sa.select(_EXPERIENCES.c.id, _EXPERIENCES.c.merged_into).where(chosen).cte("found", recursive=True)
    further = sa.select(_EXPERIENCES.c.id, _EXPERIENCES.c.merged_into).where(_EXPERIENCES.c.id == found.c.merged_into)
    return sa.select(found.union(further).c.id)


def _experience_line(connection: sa.Connection, row: Any) -> ExperienceLine:
    names = ExperienceLine.model_fields.keys() - {"type", "uses", "merged_into"}
    uses = _uses_of(connection, _USES.c.experience == row.id)
    merged_into = sa.select(_EXPERIENCES.c.digest).where(_EXPERIENCES.c.id == row.merged_into)
    into = None if row.merged_into is None else connection.execute(merged_into).scalar_one_or_none()
    return ExperienceLine(**{name: getattr(row, name) for name in names}, merged_into=into, uses=uses)


def _skill_line(connection: sa.Connection, row: Any) -> SkillLine:
    rows = connection.execute(
        sa.select(_VERSIONS).where(_VERSIONS.c.skill == row.id).order_by(_VERSIONS.c.version)
    ).all()
    numbers = {version.id: version.version for version in rows}
    versions = [
        VersionLine(
            version=version.version,
            body=version.body,
            parent=numbers.get(version.parent),
            episode=version.episode,
            turn=version.turn,
            front=version.front,
            files=version.files,
            created=version.created,
            uses=_uses_of(connection, _USES.c.skill_version == version.id),
        )
        for version in rows
    ]
    names = ("name", "category", "description", "created", "retired", "current")
    return SkillLine(**{name: getattr(row, name) for name in names}, versions=versions)


def _uses_of(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[UseLine]:
    query = sa.select(_USES.c.reward, _USES.c.created).where(condition, _USES.c.turn.is_(None)).order_by(_USES.c.id)
    return [UseLine(reward=row.reward, created=row.created) for row in connection.execute(query)]


def _episode_line(connection: sa.Connection, row: Any, digests: dict[int, str]) -> EpisodeLine:
    shown: dict[int, list[ShownLine]] = {}
    uses = (
        sa.select(_USES.c.turn, _USES.c.experience, _USES.c.reward, _SKILLS.c.name, _VERSIONS.c.version)
        .join(_TURNS, _TURNS.c.id == _USES.c.turn)
        .outerjoin(_VERSIONS, _VERSIONS.c.id == _USES.c.skill_version)
        .outerjoin(_SKILLS, _SKILLS.c.id == _VERSIONS.c.skill)
        .where(_TURNS.c.episode == row.number)
        .order_by(_USES.c.id)
    )
    for use in connection.execute(uses):
        if use.experience is None:
            line = ShownLine(skill=use.name, version=use.version, reward=use.reward)
        else:
            line = ShownLine(experience=digests[use.experience], reward=use.reward)
        shown.setdefault(use.turn, []).append(line)
    turns = [
        TurnLine(
            **{name: getattr(turn, name) for name in _PLAIN_TURN},
            prompt_tail=encode(blobs.unpack_ints(turn.prompt_tail)),
            sample_ids=encode(blobs.unpack_ints(turn.sample_ids)),
            logprobs=encode(blobs.unpack_floats(turn.logprobs)),
            used=shown.get(turn.id, []),
        )
        for turn in connection.execute(
            sa.select(_TURNS).where(_TURNS.c.episode == row.number).order_by(_TURNS.c.position)
        )
    ]
    names = EpisodeLine.model_fields.keys() - {"type", "turns"}
    return EpisodeLine(**{name: getattr(row, name) for name in names}, turns=turns)


_PLAIN_TURN = TurnLine.model_fields.keys() - {"prompt_tail", "sample_ids", "logprobs", "used"}
