"""A library as a file: JSON lines out of one database, for `skills_db.intake` to read into another."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import sqlalchemy as sa

from skills_db import blobs, migrate
from skills_db.database import Database
from skills_db.lines import (
    EpisodeLine,
    ExperienceLine,
    Header,
    LinkLine,
    RunLine,
    ShownLine,
    SkillLine,
    TurnLine,
    UseLine,
    VersionLine,
    encode,
)
from skills_db.tables import CLUSTERS, EPISODES, EXPERIENCES, LINKS, RUNS, SKILLS, TURNS, USES, VERSIONS

__all__ = ["export_lines"]


def export_lines(
    database: Database, *, env: str | None = None, run: str | None = None, episodes: bool = True
) -> Iterator[str]:
    """The library as JSON lines, of one state of the database; narrowed by environment or run.

    Narrowed, it holds what was learned there (of an environment, the skills of its category, too), and every experience
    and skill that was shown in an exported episode.
    """
    with database.reading() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(sa.text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ"))
        yield Header(schema_revision=migrate.head()).model_dump_json()
        numbers = sa.select(EPISODES.c.number)
        if env is not None:
            numbers = numbers.where(EPISODES.c.env == env)
        if run is not None:
            numbers = numbers.where(EPISODES.c.run == run)
        chosen = sa.select(EPISODES).where(EPISODES.c.number.in_(numbers)).order_by(EPISODES.c.number)
        runs = sa.select(RUNS).order_by(RUNS.c.created, RUNS.c.id)
        lessons = sa.select(EXPERIENCES).order_by(EXPERIENCES.c.id)
        skills = sa.select(SKILLS).order_by(SKILLS.c.id)
        if env is not None or run is not None:
            shown = sa.select(USES.c.experience).join(TURNS, TURNS.c.id == USES.c.turn)
            shown = shown.where(TURNS.c.episode.in_(numbers), USES.c.experience.is_not(None))
            own = EXPERIENCES.c.env == env if env is not None else sa.true()
            if run is not None:
                learned = EXPERIENCES.c.episode.in_(sa.select(EPISODES.c.id).where(EPISODES.c.run == run))
                own = sa.and_(own, learned)
            lessons = lessons.where(EXPERIENCES.c.id.in_(_with_merged(sa.or_(own, EXPERIENCES.c.id.in_(shown)))))
            versions = sa.select(VERSIONS.c.skill).join(USES, USES.c.skill_version == VERSIONS.c.id)
            versions = versions.join(TURNS, TURNS.c.id == USES.c.turn).where(TURNS.c.episode.in_(numbers))
            taught = sa.select(VERSIONS.c.skill).where(VERSIONS.c.episode.in_(_ids_of(numbers)))
            mine = sa.or_(SKILLS.c.id.in_(versions), SKILLS.c.id.in_(taught))
            if run is None:
                mine = sa.or_(mine, SKILLS.c.category == env)
            skills = skills.where(mine)
            used = RUNS.c.id.in_(sa.select(EPISODES.c.run).where(EPISODES.c.number.in_(numbers)))
            runs = runs.where(RUNS.c.id == run) if run is not None else runs.where(used)
        for row in connection.execute(lessons):
            yield _experience_line(connection, row).model_dump_json()
        for row in connection.execute(skills):
            yield _skill_line(connection, row).model_dump_json()
        if not episodes:
            return
        for row in connection.execute(runs):
            yield RunLine(id=row.id, name=row.name, created=row.created, config=row.config).model_dump_json()
        digests = dict(connection.execute(sa.select(EXPERIENCES.c.id, EXPERIENCES.c.digest)).tuples().all())
        for row in connection.execute(chosen).yield_per(64):
            yield _episode_line(connection, row, digests).model_dump_json()


def _ids_of(numbers: Any) -> Any:
    """The ids of the episodes of these numbers."""
    return sa.select(EPISODES.c.id).where(EPISODES.c.number.in_(numbers))


def _with_merged(chosen: sa.ColumnElement[bool]) -> Any:
    """The ids of the chosen experiences and of those they were merged into."""
    found = sa.select(EXPERIENCES.c.id, EXPERIENCES.c.merged_into).where(chosen).cte("found", recursive=True)
    further = sa.select(EXPERIENCES.c.id, EXPERIENCES.c.merged_into).where(EXPERIENCES.c.id == found.c.merged_into)
    return sa.select(found.union(further).c.id)


def _experience_line(connection: sa.Connection, row: Any) -> ExperienceLine:
    names = ExperienceLine.model_fields.keys() - {"type", "uses", "links", "merged_into"}
    uses = _uses_of(connection, USES.c.experience == row.id)
    merged_into = sa.select(EXPERIENCES.c.digest).where(EXPERIENCES.c.id == row.merged_into)
    into = None if row.merged_into is None else connection.execute(merged_into).scalar_one_or_none()
    query = sa.select(CLUSTERS.c.situation, LINKS.c.similarity, LINKS.c.created)
    query = query.join_from(LINKS, CLUSTERS, CLUSTERS.c.id == LINKS.c.cluster).where(LINKS.c.experience == row.id)
    rows = connection.execute(query.order_by(LINKS.c.created, LINKS.c.cluster))
    links = [LinkLine(situation=link.situation, similarity=link.similarity, created=link.created) for link in rows]
    fields = {name: getattr(row, name) for name in names}
    return ExperienceLine(**fields, merged_into=into, links=links, uses=uses)


def _skill_line(connection: sa.Connection, row: Any) -> SkillLine:
    rows = connection.execute(sa.select(VERSIONS).where(VERSIONS.c.skill == row.id).order_by(VERSIONS.c.version)).all()
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
            uses=_uses_of(connection, USES.c.skill_version == version.id),
        )
        for version in rows
    ]
    names = ("name", "category", "description", "created", "retired", "current")
    return SkillLine(**{name: getattr(row, name) for name in names}, versions=versions)


def _uses_of(connection: sa.Connection, condition: sa.ColumnElement[bool]) -> list[UseLine]:
    query = sa.select(USES.c.reward, USES.c.created).where(condition, USES.c.turn.is_(None)).order_by(USES.c.id)
    return [UseLine(reward=row.reward, created=row.created) for row in connection.execute(query)]


def _episode_line(connection: sa.Connection, row: Any, digests: dict[int, str]) -> EpisodeLine:
    shown: dict[int, list[ShownLine]] = {}
    uses = (
        sa.select(USES.c.turn, USES.c.experience, USES.c.reward, SKILLS.c.name, VERSIONS.c.version)
        .join(TURNS, TURNS.c.id == USES.c.turn)
        .outerjoin(VERSIONS, VERSIONS.c.id == USES.c.skill_version)
        .outerjoin(SKILLS, SKILLS.c.id == VERSIONS.c.skill)
        .where(TURNS.c.episode == row.number)
        .order_by(USES.c.id)
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
        for turn in connection.execute(sa.select(TURNS).where(TURNS.c.episode == row.number).order_by(TURNS.c.position))
    ]
    names = EpisodeLine.model_fields.keys() - {"type", "turns"}
    return EpisodeLine(**{name: getattr(row, name) for name in names}, turns=turns)


_PLAIN_TURN = TurnLine.model_fields.keys() - {"prompt_tail", "sample_ids", "logprobs", "used"}
