"""A library's file read into a database: all or nothing, and the line that is bad is named.

What is already there stays as it is: the same file twice changes nothing. Experiences keep their digest and get a
number of this database; clusters are found anew. A skill that is there gets the versions it lacks, numbered on, and the
one in use stays in use.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable
from typing import Any

import sqlalchemy as sa
from pydantic import ValidationError

from skills_db.database import Database
from skills_db.episodes import add_episodes, check_episode, insert_ignoring
from skills_db.errors import BadRecord, StoreError
from skills_db.experiences import Experiences, digest_of
from skills_db.lines import (
    EpisodeLine,
    ExperienceLine,
    Header,
    Line,
    LinkLine,
    RunLine,
    ShownLine,
    SkillLine,
    UseLine,
    decode,
    read_line,
)
from skills_db.skills import check_files, digest_of_version
from skills_db.tables import EPISODES, EXPERIENCES, LINKS, RUNS, SKILLS, TURNS, USES, VERSIONS
from skills_db.types import NewEpisode, NewExperience, NewTurn

__all__ = ["import_lines"]

Rows = dict[tuple[str | None, int | None], int]
"""Row of each (skill, version) of a file: numbers here may be others."""


def import_lines(
    database: Database, experiences: Experiences, lines: Iterable[bytes], name: str = "the file"
) -> dict[str, int]:
    """Read exported lines in one transaction; how many of each type were not there before.

    Raises BadRecord with the line's number, and then nothing has been kept.
    """
    added = {"run": 0, "experience": 0, "skill": 0, "episode": 0}
    number = 0
    with database.writing() as connection:
        reader = _Import(connection, experiences)
        for number, raw in enumerate(lines, start=1):
            if not raw.strip():
                continue
            try:
                line = read_line(raw)
                if (number == 1) != isinstance(line, Header):
                    raise BadRecord("the first line, and it alone, is the header of an exported library")
                if not isinstance(line, Header):
                    added[line.type] += reader.keep(line, number)
            except (ValueError, StoreError, sa.exc.IntegrityError, sa.exc.DataError) as error:
                raise BadRecord(f"line {number} of {name} cannot be kept: {_reason(error)}") from error
        if number == 0:
            raise BadRecord(f"{name} is empty: an exported library begins with its header")
        reader.join_merged(name)
        reader.join_links()
    return added


class _Import:
    """One file on its way in."""

    def __init__(self, connection: sa.Connection, experiences: Experiences) -> None:
        self._connection = connection
        self._experiences = experiences
        self._versions: Rows = {}
        self._merged: list[tuple[int, int, str]] = []
        """(line, row, digest of the experience it was merged into)"""
        self._links: list[tuple[int, str, list[LinkLine]]] = []
        """(row, environment, links)"""

    def keep(self, line: Line, number: int) -> int:
        """1 where the line brought something that was not there before."""
        match line:
            case RunLine():
                return _keep_run(self._connection, line)
            case ExperienceLine():
                id = _keep_experience(self._connection, self._experiences, line)
                if id is not None and line.merged_into is not None:
                    self._merged.append((number, id, line.merged_into))
                if id is not None and line.links:
                    self._links.append((id, line.env, line.links))
                return int(id is not None)
            case SkillLine():
                return _keep_skill(self._connection, line, self._versions)
            case EpisodeLine():
                return _keep_episode(self._connection, line, self._versions)
        raise BadRecord(f"a line of type '{line.type}' cannot stand here")

    def join_merged(self, name: str) -> None:
        """Point merged experiences to those they are part of, once all are there. Raises BadRecord."""
        merged_into = EXPERIENCES.c.merged_into
        for number, id, digest in self._merged:
            into = _id_of(self._connection, EXPERIENCES.c.id, EXPERIENCES.c.digest == digest)
            if into is None:
                raise BadRecord(
                    f"line {number} of {name} cannot be kept: it was merged into experience {digest[:12]}, which is "
                    "neither in the file nor here"
                )
            self._connection.execute(sa.update(EXPERIENCES).where(EXPERIENCES.c.id == id).values(merged_into=into))
        for number, id, _ in self._merged:
            seen: set[Any] = set()
            at: Any = id
            while at is not None and at not in seen:
                seen.add(at)
                at = _id_of(self._connection, merged_into, EXPERIENCES.c.id == at)
            if at is not None:
                raise BadRecord(f"line {number} of {name} cannot be kept: it was merged into itself, by way of others")

    def join_links(self) -> None:
        """Link experiences to the clusters of the situations they were linked to, once all clusters are there.

        Clusters are found anew: a situation that is near another representative here has that one's, and one that has
        become an experience's own needs no link.
        """
        clusters, embedder = self._experiences.clusters, self._experiences.clusters.embedder
        for id, env, links in self._links:
            own = _id_of(self._connection, EXPERIENCES.c.cluster, EXPERIENCES.c.id == id)
            for link, vector in zip(links, embedder.embed([link.situation for link in links]), strict=True):
                cluster = clusters.assign(self._connection, env, link.situation, vector)
                if cluster != own:
                    values = {"cluster": cluster, "experience": id, "similarity": link.similarity}
                    insert = insert_ignoring(self._connection, LINKS, ["cluster", "experience"])
                    self._connection.execute(insert, {**values, "created": link.created})


def _keep_run(connection: sa.Connection, line: RunLine) -> int:
    if _id_of(connection, RUNS.c.id, RUNS.c.id == line.id) is not None:
        return 0
    values = {"id": line.id, "name": line.name, "created": line.created, "config": line.config}
    connection.execute(RUNS.insert(), values)
    return 1


def _keep_experience(connection: sa.Connection, experiences: Experiences, line: ExperienceLine) -> int | None:
    """Its row; None where it was there."""
    digest = digest_of(line.env, line.kind, line.situation, line.advice)
    if _id_of(connection, EXPERIENCES.c.id, EXPERIENCES.c.digest == digest) is not None:
        return None
    item = NewExperience(
        env=line.env,
        situation=line.situation,
        advice=line.advice,
        kind=line.kind,
        score=line.first_score,
        episode=line.episode,
        turn=line.turn,
        level=line.level,
    )
    (id,) = experiences.insert(connection, [item])
    kept = line.model_dump(include={"score", "shown", "created", "retired", "retired_why"})
    connection.execute(sa.update(EXPERIENCES).where(EXPERIENCES.c.id == id).values(kept))
    _keep_uses(connection, {"experience": id}, line.uses)
    return id


def _keep_skill(connection: sa.Connection, line: SkillLine, rows: Rows) -> int:
    """Keep the versions that are not there, and write into `rows` where each of the line's is."""
    where = f"skill '{line.name}'"
    numbers = [version.version for version in line.versions]
    if len(set(numbers)) < len(numbers):
        raise BadRecord(f"{where} says one version twice")
    if line.current is not None and line.current not in numbers:
        raise BadRecord(f"{where} uses version {line.current}, which it does not have")
    found = connection.execute(sa.select(SKILLS).where(SKILLS.c.name == line.name).with_for_update()).one_or_none()
    if found is None:
        values = line.model_dump(include={"name", "category", "description", "created", "retired", "current"})
        skill = connection.execute(SKILLS.insert().returning(SKILLS.c.id), values).scalar_one()
    else:
        skill = found.id
    kept = connection.execute(sa.select(VERSIONS).where(VERSIONS.c.skill == skill)).all()
    # By what they say, and not by the hash that stands there: whoever wrote it may have hashed the text alone.
    there = {digest_of_version(line.name, row.body, row.front, row.files): row.id for row in kept}
    newest = max((row.version for row in kept), default=0)
    fresh = 0
    for version in line.versions:
        if version.parent is not None and (line.name, version.parent) not in rows:
            raise BadRecord(f"version {version.version} of {where} comes before its parent {version.parent}")
        files = {path: base64.b64decode(data, validate=True) for path, data in (version.files or {}).items()}
        check_files(line.name, files)
        digest = digest_of_version(line.name, version.body, version.front, version.files)
        if digest not in there:
            fresh += 1
            values = version.model_dump(include={"body", "front", "files", "episode", "turn", "created"})
            values["version"] = version.version if found is None else newest + fresh
            values |= {"skill": skill, "digest": digest, "parent": rows.get((line.name, version.parent))}
            there[digest] = connection.execute(VERSIONS.insert().returning(VERSIONS.c.id), values).scalar_one()
            _keep_uses(connection, {"skill_version": there[digest]}, version.uses)
        rows[line.name, version.version] = there[digest]
    if found is not None and fresh and found.current is None:
        connection.execute(sa.update(SKILLS).where(SKILLS.c.id == skill).values(current=newest or None))
    return int(found is None or fresh > 0)


def _keep_episode(connection: sa.Connection, line: EpisodeLine, versions: Rows) -> int:
    if _id_of(connection, RUNS.c.id, RUNS.c.id == line.run) is None:
        raise BadRecord(
            f"episode '{line.id}' belongs to run '{line.run}', which is neither in the file before it nor here"
        )
    fields = line.model_dump(exclude={"type", "run", "created", "turns"})
    episode = NewEpisode(**fields, turns=_turns_of(line))
    check_episode(episode)
    if not add_episodes(connection, [(line.run, episode)], line.created):
        return 0
    number = EPISODES.c.id == line.id
    rows = connection.execute(
        sa.select(TURNS.c.position, TURNS.c.id).join(EPISODES, EPISODES.c.number == TURNS.c.episode).where(number)
    )
    ids = {row.position: row.id for row in rows}
    for position, turn in enumerate(line.turns):
        for shown in turn.used:
            what = _shown_id(connection, shown, versions)
            values = {**what, "turn": ids[position], "reward": shown.reward, "created": line.created}
            connection.execute(USES.insert(), values)
    return 1


def _turns_of(line: EpisodeLine) -> list[NewTurn]:
    turns: list[NewTurn] = []
    before: list[int] = []
    for turn in line.turns:
        if turn.prompt_shared > len(before):
            raise BadRecord(
                f"a turn of episode '{line.id}' shares {turn.prompt_shared} ids with {len(before)} before it"
            )
        prompt = before[: turn.prompt_shared] + decode(turn.prompt_tail, "<i4")
        sample = decode(turn.sample_ids, "<i4")
        before = prompt + sample
        fields = turn.model_dump(exclude={"prompt_shared", "prompt_tail", "sample_ids", "logprobs", "used"})
        logprobs = decode(turn.logprobs, "<f4")
        turns.append(NewTurn(**fields, prompt_ids=prompt, sample_ids=sample, logprobs=logprobs))
    return turns


def _shown_id(connection: sa.Connection, shown: ShownLine, versions: Rows) -> dict[str, int]:
    if shown.experience is not None:
        id = _id_of(connection, EXPERIENCES.c.id, EXPERIENCES.c.digest == shown.experience)
        if id is None:
            raise BadRecord(
                f"experience {shown.experience[:12]} was shown and is neither in the file before it nor here"
            )
        return {"experience": id}
    if (shown.skill, shown.version) in versions:
        return {"skill_version": versions[shown.skill, shown.version]}
    query = sa.select(VERSIONS.c.id).join(SKILLS, SKILLS.c.id == VERSIONS.c.skill)
    query = query.where(SKILLS.c.name == shown.skill, VERSIONS.c.version == shown.version)
    id = connection.execute(query).scalar_one_or_none()
    if id is None:
        raise BadRecord(f"version {shown.version} of skill '{shown.skill}' is neither in the file before it nor here")
    return {"skill_version": id}


def _keep_uses(connection: sa.Connection, what: dict[str, int], uses: list[UseLine]) -> None:
    if uses:
        connection.execute(USES.insert(), [{**what, "reward": use.reward, "created": use.created} for use in uses])


def _id_of(connection: sa.Connection, column: sa.Column[Any], condition: sa.ColumnElement[bool]) -> Any:
    return connection.execute(sa.select(column).where(condition)).scalar_one_or_none()


def _reason(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    if isinstance(error, sa.exc.DBAPIError):
        return str(error.orig).partition("\n")[0]
    return str(error)
