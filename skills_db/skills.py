"""Skills and their versions in SQL.

A version is never changed: an edit adds one, named by the hash of all it says, and an edit back to an earlier text
takes that version up again. An edit may name the version it is based on; where another is in use by then, its writer is
told.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import PurePosixPath
from typing import Any

import sqlalchemy as sa

from skills_db.episodes import insert_ignoring
from skills_db.errors import BadRecord, EditConflict, UnknownRecord
from skills_db.tables import SKILLS, VERSIONS
from skills_db.types import NewSkill, SkillEdit, SkillRow, SkillVersionRow

__all__ = [
    "LIMIT_BYTES",
    "add_skill",
    "check_files",
    "check_name",
    "digest_of_version",
    "edit_skill",
    "in_use",
    "keep_skills",
    "read_skills",
    "read_versions",
    "retire_skill",
]

LIMIT_BYTES = 1024 * 1024
"""Of a body, and of all files beside it together."""

_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")  # with a letter: a number names an experience
_NAME_CHARS = 64
_DESCRIPTION_CHARS = 1024


def digest_of_version(name: str, body: str, front: Mapping[str, Any] | None, files: Mapping[str, str] | None) -> str:
    """What makes two versions the same one, here and in any other database."""
    whole = {"name": name, "body": body, "front": front or {}, "files": files or {}}
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode("ascii")).hexdigest()


def check_name(name: str) -> None:
    """Raises BadRecord where the name could not be a folder's."""
    if not _NAME.fullmatch(name) or len(name) > _NAME_CHARS:
        raise BadRecord(
            f"a skill cannot be named {name!r}: say lower-case letters, with digits and single hyphens between them, "
            f"at most {_NAME_CHARS} characters"
        )


def check_files(name: str, files: Mapping[str, bytes]) -> None:
    """Raises BadRecord where the files cannot stand beside the skill's SKILL.md."""
    for path in files:
        parts = PurePosixPath(path).parts
        odd = "\\" in path or "\x00" in path or str(PurePosixPath(path)) != path or path.lower() == "skill.md"
        if odd or not parts or path.startswith("/") or ".." in parts:
            raise BadRecord(f"skill '{name}' has a file {path!r}: say a path within its folder, other than SKILL.md")
    if sum(map(len, files.values())) > LIMIT_BYTES:
        raise BadRecord(f"the files of skill '{name}' are longer than {LIMIT_BYTES} bytes in all: leave some out")


def add_skill(connection: sa.Connection, new: NewSkill) -> None:
    """Keep a skill and its first version. Raises BadRecord, for a name that is taken, too."""
    check_name(new.name)
    content = _content(new.name, new.description, new.body, new.front, new.files)
    when = datetime.now(UTC)
    row = {"name": new.name, "category": new.category, "description": new.description.strip(), "created": when}
    insert = insert_ignoring(connection, SKILLS, ["name"]).returning(SKILLS.c.id)
    skill = connection.execute(insert, row).scalar_one_or_none()
    if skill is None:
        raise BadRecord(f"there is a skill named '{new.name}' already: edit it, which takes it up again if retired")
    first = {"skill": skill, "version": 1, "parent": None, "episode": new.episode, "turn": new.turn, "created": when}
    connection.execute(VERSIONS.insert(), {**content, **first})


def edit_skill(connection: sa.Connection, name: str, edit: SkillEdit, base: int | None = None) -> bool:
    """Put another version in use and take the skill up again; False where it says what the one in use says.

    Raises UnknownRecord, BadRecord, and EditConflict where `base` is not the version in use.
    """
    locked = sa.select(SKILLS).where(SKILLS.c.name == name).with_for_update()
    row = connection.execute(locked).one_or_none()
    if row is None:
        raise UnknownRecord(f"no skill is named '{name}': add it first")
    (kept,) = read_skills(connection, name)
    used = kept.version()
    if base is not None and base != used.version:
        raise EditConflict(
            f"skill '{name}' is at version {used.version} and the edit is based on version {base}: "
            f"look at what changed (skills lineage {name}), then edit that one and say base {used.version}"
        )
    content = _content(
        name,
        used.description if edit.description is None else edit.description,
        used.body if edit.body is None else edit.body,
        {key: value for key, value in used.front.items() if key != "description"} if edit.front is None else edit.front,
        _decoded(used.files) if edit.files is None else edit.files,
    )
    there = {each.digest: each.version for each in kept.versions}
    newest = max(each.version for each in kept.versions)
    number = there.get(content["digest"], newest + 1)
    values = {
        "description": content["front"]["description"],
        "category": row.category if edit.category is None else edit.category,
        "retired": None,
        "current": number if number < newest else None,
    }
    connection.execute(sa.update(SKILLS).where(SKILLS.c.id == row.id).values(values))
    if number > newest:
        parent = sa.select(VERSIONS.c.id).where(VERSIONS.c.skill == row.id, VERSIONS.c.version == used.version)
        made = {
            "skill": row.id,
            "version": number,
            "parent": connection.execute(parent).scalar_one(),
            "episode": edit.episode,
            "turn": edit.turn,
            "created": datetime.now(UTC),
        }
        connection.execute(VERSIONS.insert(), {**content, **made})
    return number != used.version


def keep_skills(connection: sa.Connection, skills: Iterable[NewSkill]) -> dict[str, int]:
    """Add what is new and edit what is there; how many were `added`, `edited` and `unchanged`. Raises BadRecord."""
    counts = {"added": 0, "edited": 0, "unchanged": 0}
    for new in sorted(skills, key=lambda new: new.name):  # in one order: two writers must not deadlock
        check_name(new.name)
        if connection.execute(sa.select(SKILLS.c.id).where(SKILLS.c.name == new.name)).one_or_none() is None:
            add_skill(connection, new)
            counts["added"] += 1
            continue
        category = None if new.category == "general" else new.category  # a folder that says none takes none away
        edit = SkillEdit(new.body, new.description, category, new.front, new.files, new.episode, new.turn)
        counts["edited" if edit_skill(connection, new.name, edit) else "unchanged"] += 1
    return counts


def retire_skill(connection: sa.Connection, name: str, *, back: bool = False) -> bool:
    """Put a skill away, or take it up again; False where that is so already. Raises UnknownRecord."""
    if connection.execute(sa.select(SKILLS.c.id).where(SKILLS.c.name == name)).one_or_none() is None:
        raise UnknownRecord(f"no skill is named '{name}'")
    state = SKILLS.c.retired.is_not(None) if back else SKILLS.c.retired.is_(None)
    change = sa.update(SKILLS).where(SKILLS.c.name == name, state)
    return bool(connection.execute(change.values(retired=None if back else datetime.now(UTC))).rowcount)


def read_skills(
    connection: sa.Connection,
    name: str | None = None,
    *,
    category: str | None = None,
    retired: bool = True,
    limit: int | None = None,
    offset: int = 0,
) -> list[SkillRow]:
    """Skills with all their versions, by name; without the retired ones where `retired` is false."""
    # A locale of PostgreSQL's may pass over hyphens.
    by_name: sa.ColumnElement[str] = SKILLS.c.name
    if connection.dialect.name == "postgresql":
        by_name = by_name.collate("C")
    query = sa.select(SKILLS).order_by(by_name).limit(limit).offset(offset or None)
    if name is not None:
        query = query.where(SKILLS.c.name == name)
    if category is not None:
        query = query.where(SKILLS.c.category == category)
    if not retired:
        query = query.where(SKILLS.c.retired.is_(None))
    rows = connection.execute(query).all()
    ids = {row.id for row in rows}
    versions: dict[int, list[Any]] = {}
    texts = sa.select(VERSIONS).order_by(VERSIONS.c.version)
    whole = name is None and limit is None
    for text in connection.execute(texts if whole else texts.where(VERSIONS.c.skill.in_(ids))):
        versions.setdefault(text.skill, []).append(text)
    return [_skill_row(row, versions.get(row.id, [])) for row in rows]


def in_use() -> sa.ColumnElement[bool]:
    """That a version is its skill's, and the one in use."""
    newest = VERSIONS.alias()
    last = sa.select(sa.func.max(newest.c.version)).where(newest.c.skill == SKILLS.c.id).scalar_subquery()
    return sa.and_(VERSIONS.c.skill == SKILLS.c.id, VERSIONS.c.version == sa.func.coalesce(SKILLS.c.current, last))


def read_versions(connection: sa.Connection, ids: Sequence[int]) -> dict[int, SkillVersionRow]:
    """Versions by their row numbers, in the order of these; without those that are gone by now."""
    parent = VERSIONS.alias()
    query = sa.select(VERSIONS, SKILLS.c.name, SKILLS.c.description, parent.c.version.label("before"))
    query = query.join_from(VERSIONS, SKILLS, SKILLS.c.id == VERSIONS.c.skill)
    query = query.outerjoin(parent, parent.c.id == VERSIONS.c.parent).where(VERSIONS.c.id.in_(ids))
    found = {row.id: _version_row(row, row.name, row.description, row.before) for row in connection.execute(query)}
    return {id: found[id] for id in ids if id in found}


def _skill_row(row: Any, texts: list[Any]) -> SkillRow:
    numbers = {text.id: text.version for text in texts}
    return SkillRow(
        name=row.name,
        category=row.category,
        description=row.description,
        created=row.created.isoformat(),
        retired=row.retired.isoformat() if row.retired else None,
        current=row.current or max(numbers.values(), default=0),
        versions=tuple(_version_row(text, row.name, row.description, numbers.get(text.parent)) for text in texts),
    )


def _version_row(text: Any, name: str, description: str, parent: int | None) -> SkillVersionRow:
    return SkillVersionRow(
        skill=name,
        version=text.version,
        digest=text.digest,
        description=str((text.front or {}).get("description", description)),
        body=text.body,
        parent=parent,
        front=text.front or {"description": description},
        files=text.files or {},
        episode=text.episode,
        turn=text.turn,
        created=text.created.isoformat(),
    )


def _content(
    name: str, description: str, body: str, front: Mapping[str, Any], files: Mapping[str, bytes]
) -> dict[str, Any]:
    """A version's own columns, checked."""
    description = description.strip()
    body = body.replace("\r\n", "\n").strip("\n") + "\n"  # as a SKILL.md gives it back, so that the hash is the same
    if not description or len(description) > _DESCRIPTION_CHARS:
        raise BadRecord(
            f"the description of skill '{name}' has {len(description)} characters: say in 1 to {_DESCRIPTION_CHARS} "
            "when to use it"
        )
    if not body.strip():
        raise BadRecord(f"skill '{name}' has no text: say what to do")
    if len(body.encode("utf-8", "replace")) > LIMIT_BYTES:
        raise BadRecord(f"the text of skill '{name}' is longer than {LIMIT_BYTES} bytes: keep what a prompt can hold")
    if any(key in front for key in ("name", "description")):
        raise BadRecord(f"the front matter of skill '{name}' says its name or description twice: say each once")
    check_files(name, files)
    whole = {"description": description, **front}
    encoded = {path: base64.b64encode(data).decode("ascii") for path, data in sorted(files.items())}
    try:
        json.dumps(whole, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        raise BadRecord(
            f"the front matter of skill '{name}' is not JSON ({error}): keep to text, numbers, lists and maps"
        ) from error
    for text in (*_texts(whole), *encoded, body):
        if "\x00" in text or (not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text)):
            raise BadRecord(f"skill '{name}' has a NUL or half a character in its text: take it out")
    digest = digest_of_version(name, body, whole, encoded)
    return {"body": body, "digest": digest, "front": whole, "files": encoded or None}


def _texts(value: Any) -> Iterator[str]:
    match value:
        case str():
            yield value
        case Mapping():
            for key, each in value.items():
                if not isinstance(key, str):
                    raise BadRecord(f"the front matter has a key {key!r} that is no text: put it in quotes")
                yield key
                yield from _texts(each)
        case list() | tuple():
            for each in value:
                yield from _texts(each)


def _decoded(files: Mapping[str, str]) -> dict[str, bytes]:
    return {path: base64.b64decode(data) for path, data in files.items()}
