"""Where an entry comes from, where it went, and what it did there; for an episode: what was shown in it, turn by turn.

An episode that is not kept here, as where a library travelled alone, is named all the same.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa

from skills_db.effect import Effect, effect_of, effects_of_experiences, effects_of_versions
from skills_db.errors import UnknownRecord
from skills_db.skill_folder import diff
from skills_db.skills import read_skills
from skills_db.tables import CLUSTERS, EPISODES, EXPERIENCES, LINKS, SKILLS, TURNS, USES, VERSIONS

__all__ = ["EntryLineage", "EpisodeLineage", "Linked", "Origin", "Showing", "Shown", "Version", "read_lineage"]


@dataclass(frozen=True, slots=True)
class Origin:
    """The play that taught an entry."""

    episode: str
    turn: int | None
    kept: bool
    """Whether the episode is in this memory; the fields below are empty where it is not."""
    run: str = ""
    env: str = ""
    key: str = ""
    step: int | None = None
    reward: float | None = None
    success: bool | None = None
    observation: str = ""
    """Of the turn."""
    action: str = ""


@dataclass(frozen=True, slots=True)
class Version:
    """One text of a skill, what it changed, and how it went with it."""

    version: int
    digest: str
    parent: int | None
    in_use: bool
    created: str
    taught_by: Origin | None
    diff: str
    """Against its parent's SKILL.md and files, unified; empty for the first."""
    effect: Effect
    """Against episodes without any version of the skill."""


@dataclass(frozen=True, slots=True)
class Showing:
    """One turn in which an entry was shown."""

    episode: str
    turn: int
    run: str
    env: str
    key: str
    step: int
    version: int | None
    """Of a skill."""
    credited: float | None
    """None: not credited yet."""
    reward: float | None
    """Of the episode."""
    success: bool
    created: str


@dataclass(frozen=True, slots=True)
class Part:
    """An entry that was merged into this one."""

    id: int
    advice: str
    taught_by: Origin | None


@dataclass(frozen=True, slots=True)
class Linked:
    """A cluster elsewhere that a search has linked an experience to."""

    cluster: int
    situation: str
    """Of the cluster's representative."""
    similarity: float
    """Cosine of the situation that was searched for and the experience's."""
    created: str


@dataclass(frozen=True, slots=True)
class EntryLineage:
    """All that is known of one experience or skill."""

    type: Literal["experience", "skill"]
    id: str
    """The experience's number, the skill's name."""
    text: str
    """The advice, or the description of the version in use."""
    created: str
    retired: str | None
    retired_why: str | None
    taught_by: Origin | None
    merged_into: int | None
    merged: tuple[Part, ...]
    links: tuple[Linked, ...]
    """Of an experience, the first one first."""
    versions: tuple[Version, ...]
    """Of a skill, the first one first."""
    shown: int
    """Turns in which it was shown; `showings` may hold only the last of them."""
    showings: tuple[Showing, ...]
    """The newest first."""
    credits: int
    """Credits that came without a turn."""
    credits_mean: float | None
    effect: Effect


@dataclass(frozen=True, slots=True)
class Shown:
    """One entry that was shown in a turn."""

    turn: int
    type: Literal["experience", "skill"]
    id: str
    version: int | None
    digest: str
    """Content hash."""
    text: str
    """The advice, or the skill's description."""
    credited: float | None


@dataclass(frozen=True, slots=True)
class Taught:
    """One entry that was learned from an episode."""

    turn: int | None
    type: Literal["experience", "skill"]
    id: str
    version: int | None
    text: str


@dataclass(frozen=True, slots=True)
class EpisodeLineage:
    """What memory gave to an episode and what it took from it."""

    type: Literal["episode"]
    id: str
    run: str
    env: str
    key: str
    step: int
    reward: float | None
    success: bool
    turns: int
    shown: tuple[Shown, ...]
    """In the order of the turns."""
    taught: tuple[Taught, ...]


def read_lineage(
    connection: sa.Connection, kind: str, id: str, *, limit: int | None = None, confidence: float = 0.95
) -> EntryLineage | EpisodeLineage:
    """The lineage of a whole id, with at most `limit` showings. Raises UnknownRecord, for a run, too."""
    match kind:
        case "experience":
            return _of_experience(connection, int(id), limit, confidence)
        case "skill":
            return _of_skill(connection, id, limit, confidence)
        case "episode":
            return _of_episode(connection, id)
    raise UnknownRecord(
        f"'{id}' is a {kind}, and lineage is of an experience, a skill or an episode: name one of these"
    )


def _of_experience(connection: sa.Connection, id: int, limit: int | None, confidence: float) -> EntryLineage:
    row = connection.execute(sa.select(EXPERIENCES).where(EXPERIENCES.c.id == id)).one_or_none()
    if row is None:
        raise UnknownRecord(f"no experience has the id {id}")
    parts = connection.execute(
        sa.select(EXPERIENCES).where(EXPERIENCES.c.merged_into == id).order_by(EXPERIENCES.c.id)
    ).all()
    mine = USES.c.experience == id
    count, mean = _credits(connection, mine)
    return EntryLineage(
        type="experience",
        id=str(id),
        text=row.advice,
        created=row.created.isoformat(),
        retired=row.retired.isoformat() if row.retired else None,
        retired_why=row.retired_why,
        taught_by=_origin(connection, row.episode, row.turn),
        merged_into=row.merged_into,
        merged=tuple(Part(part.id, part.advice, _origin(connection, part.episode, part.turn)) for part in parts),
        links=_links(connection, id),
        versions=(),
        shown=_count(connection, mine),
        showings=_showings(connection, mine, limit),
        credits=count,
        credits_mean=mean,
        effect=effects_of_experiences(connection, EXPERIENCES.c.id == id, confidence).get(id)
        or effect_of({}, {}, confidence),
    )


def _of_skill(connection: sa.Connection, name: str, limit: int | None, confidence: float) -> EntryLineage:
    found = read_skills(connection, name)
    if not found:
        raise UnknownRecord(f"no skill is named '{name}'")
    (skill,) = found
    number = connection.execute(sa.select(SKILLS.c.id).where(SKILLS.c.name == name)).scalar_one()
    texts = sa.select(VERSIONS.c.id, VERSIONS.c.version).where(VERSIONS.c.skill == number)
    ids = {row.version: row.id for row in connection.execute(texts)}
    whole, effects = effects_of_versions(connection, number, confidence)
    by_number = {each.version: each for each in skill.versions}
    versions = tuple(
        Version(
            version=each.version,
            digest=each.digest,
            parent=each.parent,
            in_use=each.version == skill.current,
            created=each.created,
            taught_by=_origin(connection, each.episode, each.turn),
            diff=diff(by_number.get(each.parent or 0), each),
            effect=effects.get(ids[each.version]) or effect_of({}, {}, confidence),
        )
        for each in skill.versions
    )
    mine = USES.c.skill_version.in_(sa.select(VERSIONS.c.id).where(VERSIONS.c.skill == number))
    count, mean = _credits(connection, mine)
    return EntryLineage(
        type="skill",
        id=name,
        text=skill.description,
        created=skill.created,
        retired=skill.retired,
        retired_why=None,
        taught_by=versions[0].taught_by if versions else None,
        merged_into=None,
        merged=(),
        links=(),
        versions=versions,
        shown=_count(connection, mine),
        showings=_showings(connection, mine, limit),
        credits=count,
        credits_mean=mean,
        effect=whole,
    )


def _of_episode(connection: sa.Connection, id: str) -> EpisodeLineage:
    row = connection.execute(sa.select(EPISODES).where(EPISODES.c.id == id)).one_or_none()
    if row is None:
        raise UnknownRecord(f"no episode has the id '{id}'")
    uses = (
        sa.select(
            TURNS.c.position,
            USES.c.experience,
            USES.c.reward,
            EXPERIENCES.c.advice,
            EXPERIENCES.c.digest.label("advice_digest"),
            SKILLS.c.name,
            SKILLS.c.description,
            VERSIONS.c.version,
            VERSIONS.c.digest,
            VERSIONS.c.front,
        )
        .join_from(USES, TURNS, TURNS.c.id == USES.c.turn)
        .outerjoin(EXPERIENCES, EXPERIENCES.c.id == USES.c.experience)
        .outerjoin(VERSIONS, VERSIONS.c.id == USES.c.skill_version)
        .outerjoin(SKILLS, SKILLS.c.id == VERSIONS.c.skill)
        .where(TURNS.c.episode == row.number)
        .order_by(TURNS.c.position, USES.c.id)
    )
    shown = tuple(
        Shown(use.position, "experience", str(use.experience), None, use.advice_digest, use.advice, use.reward)
        if use.experience is not None
        else Shown(use.position, "skill", use.name, use.version, use.digest, _described(use), use.reward)
        for use in connection.execute(uses)
    )
    lessons = sa.select(EXPERIENCES.c.turn, EXPERIENCES.c.id, EXPERIENCES.c.advice)
    lessons = lessons.where(EXPERIENCES.c.episode == id).order_by(EXPERIENCES.c.turn, EXPERIENCES.c.id)
    texts = sa.select(VERSIONS.c.turn, SKILLS.c.name, SKILLS.c.description, VERSIONS.c.version, VERSIONS.c.front)
    texts = texts.join_from(VERSIONS, SKILLS, SKILLS.c.id == VERSIONS.c.skill).where(VERSIONS.c.episode == id)
    taught = [
        Taught(lesson.turn, "experience", str(lesson.id), None, lesson.advice) for lesson in connection.execute(lessons)
    ] + [
        Taught(text.turn, "skill", text.name, text.version, _described(text))
        for text in connection.execute(texts.order_by(SKILLS.c.name, VERSIONS.c.version))
    ]
    return EpisodeLineage(
        type="episode",
        id=row.id,
        run=row.run,
        env=row.env,
        key=row.key,
        step=row.step,
        reward=row.reward,
        success=row.success,
        turns=row.turns,
        shown=shown,
        taught=tuple(taught),
    )


def _described(row: Any) -> str:
    return str((row.front or {}).get("description", row.description))


def _origin(connection: sa.Connection, episode: str | None, turn: int | None) -> Origin | None:
    if episode is None:
        return None
    row = connection.execute(sa.select(EPISODES).where(EPISODES.c.id == episode)).one_or_none()
    if row is None:
        return Origin(episode, turn, kept=False)
    said = sa.select(TURNS.c.observation, TURNS.c.action)
    at = connection.execute(said.where(TURNS.c.episode == row.number, TURNS.c.position == turn)).one_or_none()
    return Origin(
        episode,
        turn,
        kept=True,
        run=row.run,
        env=row.env,
        key=row.key,
        step=row.step,
        reward=row.reward,
        success=row.success,
        observation=at.observation if at else "",
        action=at.action if at else "",
    )


def _count(connection: sa.Connection, mine: sa.ColumnElement[bool]) -> int:
    query = sa.select(sa.func.count()).select_from(USES).where(mine, USES.c.turn.is_not(None))
    return int(connection.execute(query).scalar_one())


def _credits(connection: sa.Connection, mine: sa.ColumnElement[bool]) -> tuple[int, float | None]:
    query = sa.select(sa.func.count(USES.c.reward), sa.func.avg(USES.c.reward)).where(mine, USES.c.turn.is_(None))
    count, mean = connection.execute(query).one()
    return int(count), mean


def _links(connection: sa.Connection, experience: int) -> tuple[Linked, ...]:
    query = sa.select(LINKS.c.cluster, CLUSTERS.c.situation, LINKS.c.similarity, LINKS.c.created)
    query = query.join_from(LINKS, CLUSTERS, CLUSTERS.c.id == LINKS.c.cluster).where(LINKS.c.experience == experience)
    rows = connection.execute(query.order_by(LINKS.c.created, LINKS.c.cluster))
    return tuple(Linked(row.cluster, row.situation, row.similarity, row.created.isoformat()) for row in rows)


def _showings(connection: sa.Connection, mine: sa.ColumnElement[bool], limit: int | None) -> tuple[Showing, ...]:
    columns = [EPISODES.c[name] for name in ("id", "run", "env", "key", "step", "reward", "success")]
    query = (
        sa.select(*columns, TURNS.c.position, USES.c.reward.label("credited"), USES.c.created, VERSIONS.c.version)
        .join_from(USES, TURNS, TURNS.c.id == USES.c.turn)
        .join(EPISODES, EPISODES.c.number == TURNS.c.episode)
        .outerjoin(VERSIONS, VERSIONS.c.id == USES.c.skill_version)
        .where(mine)
        .order_by(EPISODES.c.number.desc(), TURNS.c.position.desc(), USES.c.id.desc())
        .limit(limit)
    )
    return tuple(
        Showing(
            episode=row.id,
            turn=row.position,
            run=row.run,
            env=row.env,
            key=row.key,
            step=row.step,
            version=row.version,
            credited=row.credited,
            reward=row.reward,
            success=row.success,
            created=row.created.isoformat(),
        )
        for row in connection.execute(query)
    )
