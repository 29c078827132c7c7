"""A library as a file: JSON lines out of one database and into another.

An import is all or nothing, names the line that is bad, and leaves what is already there as it is: the same file twice
changes nothing. Experiences keep their digest and get a number of the new database; clusters are found anew there. A
skill that is there gets the versions it lacks, numbered on, and the one in use stays in use.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from typing import Any, cast

import sqlalchemy as sa
from pydantic import ValidationError

from skills_db import blobs, migrate
from skills_db.database import Database
from skills_db.episodes import add_episodes, check_episode
from skills_db.errors import BadRecord, StoreError
from skills_db.experiences import Experiences, digest_of
from skills_db.lines import (
    EpisodeLine,
    ExperienceLine,
    Header,
    Line,
    RunLine,
    ShownLine,
    SkillLine,
    TurnLine,
    UseLine,
    VersionLine,
    decode,
    encode,
    read_line,
)
from skills_db.models import Episode, Experience, Run, Skill, SkillVersion, Turn, Use
from skills_db.skills import check_files, digest_of_version
from skills_db.types import NewEpisode, NewExperience, NewTurn

__all__ = ["export_lines", "import_lines"]

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
    return added


class _Import:
    """One file on its way in."""

    def __init__(self, connection: sa.Connection, experiences: Experiences) -> None:
        self._connection = connection
        self._experiences = experiences
        self._versions: dict[tuple[str | None, int | None], int] = {}
        """Row of each (skill, version) of the file: numbers here may be others."""
        self._merged: list[tuple[int, int, str]] = []
        """(line, row, digest of the experience it was merged into)"""

    def keep(self, line: Line, number: int) -> int:
        """1 where the line brought something that was not there before."""
        match line:
            case RunLine():
                return _keep_run(self._connection, line)
            case ExperienceLine():
                id = _keep_experience(self._connection, self._experiences, line)
                if id is not None and line.merged_into is not None:
                    self._merged.append((number, id, line.merged_into))
                return int(id is not None)
            case SkillLine():
                return _keep_skill(self._connection, line, self._versions)
            case EpisodeLine():
                return _keep_episode(self._connection, line, self._versions)
        raise BadRecord(f"a line of type '{line.type}' cannot stand here")

    def join_merged(self, name: str) -> None:
        """Point merged experiences to those they are part of, once all are there. Raises BadRecord."""
        merged_into = _EXPERIENCES.c.merged_into
        for number, id, digest in self._merged:
            into = _id_of(self._connection, _EXPERIENCES.c.id, _EXPERIENCES.c.digest == digest)
            if into is None:
                raise BadRecord(
                    f"line {number} of {name} cannot be kept: it was merged into experience {digest[:12]}, which is "
                    "neither in the file nor here"
                )
            self._connection.execute(sa.update(_EXPERIENCES).where(_EXPERIENCES.c.id == id).values(merged_into=into))
        for number, id, _ in self._merged:
            seen: set[Any] = set()
            at: Any = id
            while at is not None and at not in seen:
                seen.add(at)
                at = _id_of(self._connection, merged_into, _EXPERIENCES.c.id == at)
            if at is not None:
                raise BadRecord(f"line {number} of {name} cannot be kept: it was merged into itself, by way of others")


def _with_merged(chosen: sa.ColumnElement[bool]) -> Any:
    """The ids of the chosen experiences and of those they were merged into."""
    found = sa.select(_EXPERIENCES.c.id, _EXPERIENCES.c.merged_into).where(chosen).cte("found", recursive=True)
    further = sa.select(_EXPERIENCES.c.id, _EXPERIENCES.c.merged_into).where(_EXPERIENCES.c.id == found.c.merged_into)
    return sa.select(found.union(further).c.id)


def _keep_run(connection: sa.Connection, line: RunLine) -> int:
    if _id_of(connection, _RUNS.c.id, _RUNS.c.id == line.id) is not None:
        return 0
    values = {"id": line.id, "name": line.name, "created": line.created, "config": line.config}
    connection.execute(_RUNS.insert(), values)
    return 1


def _keep_experience(connection: sa.Connection, experiences: Experiences, line: ExperienceLine) -> int | None:
    """Its row; None where it was there."""
    digest = digest_of(line.env, line.kind, line.situation, line.advice)
    if _id_of(connection, _EXPERIENCES.c.id, _EXPERIENCES.c.digest == digest) is not None:
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
    connection.execute(sa.update(_EXPERIENCES).where(_EXPERIENCES.c.id == id).values(kept))
    _keep_uses(connection, {"experience": id}, line.uses)
    return id


def _keep_skill(connection: sa.Connection, line: SkillLine, rows: dict[tuple[str | None, int | None], int]) -> int:
    """Keep the versions that are not there, and write into `rows` where each of the line's is."""
    where = f"skill '{line.name}'"
    numbers = [version.version for version in line.versions]
    if len(set(numbers)) < len(numbers):
        raise BadRecord(f"{where} says one version twice")
    if line.current is not None and line.current not in numbers:
        raise BadRecord(f"{where} uses version {line.current}, which it does not have")
    found = connection.execute(sa.select(_SKILLS).where(_SKILLS.c.name == line.name).with_for_update()).one_or_none()
    if found is None:
        values = line.model_dump(include={"name", "category", "description", "created", "retired", "current"})
        skill = connection.execute(_SKILLS.insert().returning(_SKILLS.c.id), values).scalar_one()
    else:
        skill = found.id
    kept = connection.execute(sa.select(_VERSIONS).where(_VERSIONS.c.skill == skill)).all()
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
            there[digest] = connection.execute(_VERSIONS.insert().returning(_VERSIONS.c.id), values).scalar_one()
            _keep_uses(connection, {"skill_version": there[digest]}, version.uses)
        rows[line.name, version.version] = there[digest]
    if found is not None and fresh and found.current is None:
        connection.execute(sa.update(_SKILLS).where(_SKILLS.c.id == skill).values(current=newest or None))
    return int(found is None or fresh > 0)


def _keep_episode(
    connection: sa.Connection, line: EpisodeLine, versions: dict[tuple[str | None, int | None], int]
) -> int:
    if _id_of(connection, _RUNS.c.id, _RUNS.c.id == line.run) is None:
        raise BadRecord(
            f"episode '{line.id}' belongs to run '{line.run}', which is neither in the file before it nor here"
        )
    fields = line.model_dump(exclude={"type", "run", "created", "turns"})
    episode = NewEpisode(**fields, turns=_turns_of(line))
    check_episode(episode)
    if not add_episodes(connection, [(line.run, episode)], line.created):
        return 0
    number = _EPISODES.c.id == line.id
    rows = connection.execute(
        sa.select(_TURNS.c.position, _TURNS.c.id).join(_EPISODES, _EPISODES.c.number == _TURNS.c.episode).where(number)
    )
    ids = {row.position: row.id for row in rows}
    for position, turn in enumerate(line.turns):
        for shown in turn.used:
            what = _shown_id(connection, shown, versions)
            values = {**what, "turn": ids[position], "reward": shown.reward, "created": line.created}
            connection.execute(_USES.insert(), values)
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


def _shown_id(
    connection: sa.Connection, shown: ShownLine, versions: dict[tuple[str | None, int | None], int]
) -> dict[str, int]:
    if shown.experience is not None:
        id = _id_of(connection, _EXPERIENCES.c.id, _EXPERIENCES.c.digest == shown.experience)
        if id is None:
            raise BadRecord(
                f"experience {shown.experience[:12]} was shown and is neither in the file before it nor here"
            )
        return {"experience": id}
    if (shown.skill, shown.version) in versions:
        return {"skill_version": versions[shown.skill, shown.version]}
    query = sa.select(_VERSIONS.c.id).join(_SKILLS, _SKILLS.c.id == _VERSIONS.c.skill)
    query = query.where(_SKILLS.c.name == shown.skill, _VERSIONS.c.version == shown.version)
    id = connection.execute(query).scalar_one_or_none()
    if id is None:
        raise BadRecord(f"version {shown.version} of skill '{shown.skill}' is neither in the file before it nor here")
    return {"skill_version": id}


def _keep_uses(connection: sa.Connection, what: dict[str, int], uses: list[UseLine]) -> None:
    if uses:
        connection.execute(_USES.insert(), [{**what, "reward": use.reward, "created": use.created} for use in uses])


def _id_of(connection: sa.Connection, column: sa.Column[Any], condition: sa.ColumnElement[bool]) -> Any:
    return connection.execute(sa.select(column).where(condition)).scalar_one_or_none()


def _experience_line(connection: sa.Connection, row: Any) -> ExperienceLine:
    names = ExperienceLine.model_fields.keys() - {"type", "uses", "merged_into"}
    uses = _uses_of(connection, _USES.c.experience == row.id)
    into = row.merged_into and _id_of(connection, _EXPERIENCES.c.digest, _EXPERIENCES.c.id == row.merged_into)
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


def _reason(error: BaseException) -> str:
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False)[0]
        place = ".".join(str(step) for step in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    if isinstance(error, sa.exc.DBAPIError):
        return str(error.orig).partition("\n")[0]
    return str(error)
