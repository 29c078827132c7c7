"""Skills as folders, as agent tools keep them: `NAME/SKILL.md`, YAML front matter between lines `---`, then Markdown.

`name` and `description` must stand in the front matter; whatever else stands there is kept as it is, a date as the text
it is, and so are the files beside SKILL.md, up to 1 MiB of them. A skill's category is no part of its versions: it is
written into `metadata`, where it is not `general`, and read from there or, as MetaClaw has it, from `category` itself.
What cannot be kept is refused by a sentence that names the folder: links, anchors and aliases, keys said twice, what
JSON does not have.
"""

from __future__ import annotations

import base64
import contextlib
import difflib
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from skills_db.errors import BadRecord
from skills_db.skills import LIMIT_BYTES, check_name
from skills_db.types import NewSkill, SkillRow, SkillVersionRow

__all__ = ["diff", "find_folders", "parse", "read_folder", "render", "write_folders"]

_FRONT_CHARS = 64 * 1024
_NO_DATES = {
    first: [(tag, pattern) for tag, pattern in pairs if tag != "tag:yaml.org,2002:timestamp"]
    for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """Plain YAML: no key twice, and no alias, by which a few lines become gigabytes."""

    yaml_implicit_resolvers = _NO_DATES

    def compose_node(self, parent: Any, index: Any) -> Any:
        """One node."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("an alias stands in it")
        return super().compose_node(parent, index)

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        """One map."""
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for at, key in enumerate(keys):
            if key in keys[:at]:
                raise yaml.YAMLError(f"the key {key!r} stands in it twice")
        made: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return made


class _Dumper(yaml.SafeDumper):  # type: ignore[misc]
    """Writes what the loader reads."""

    yaml_implicit_resolvers = _NO_DATES


def find_folders(path: Path) -> list[Path]:
    """The folder itself, or those in it that hold a SKILL.md, by name. Raises BadRecord where there is none."""
    if (path / "SKILL.md").exists():
        return [path]
    found = sorted(each.parent for each in path.glob("*/SKILL.md"))
    if not found:
        raise BadRecord(f"{path} holds no SKILL.md, nor does a folder in it: name a skill's folder or one of such")
    return found


def read_folder(folder: Path) -> NewSkill:
    """The folder's skill. Raises BadRecord."""
    try:
        new = parse(_text(folder / "SKILL.md"), str(folder / "SKILL.md"))
        files = _files(folder)
    except OSError as error:
        raise BadRecord(f"{error.filename or folder} cannot be read: {error.strerror}") from error
    if new.name != folder.resolve().name:
        raise BadRecord(f"the folder {folder} holds a skill named '{new.name}': give both one name")
    return NewSkill(new.name, new.description, new.body, category=new.category, front=new.front, files=files)


def parse(text: str, where: str) -> NewSkill:
    """The skill of a SKILL.md's text, without files. Raises BadRecord, which names `where`."""
    lines = text.removeprefix("\ufeff").replace("\r\n", "\n").split("\n")
    if lines[0].rstrip() != "---":
        raise BadRecord(f"{where} does not begin with front matter: a line ---, name and description, a line ---")
    end = next((at for at, line in enumerate(lines[1:], start=1) if line.rstrip() == "---"), None)
    if end is None:
        raise BadRecord(f"the front matter of {where} has no end: put a line --- after it")
    front = _front("\n".join(lines[1:end]), where)
    for key in ("name", "description"):
        if not isinstance(front.get(key), str) or not front[key].strip():
            raise BadRecord(f"the front matter of {where} has no {key}: say one, as text")
    try:
        check_name(front["name"])
    except BadRecord as error:
        raise BadRecord(f"{where}: {error}") from error
    body = "\n".join(lines[end + 1 :]).strip("\n")
    if not body.strip():
        raise BadRecord(f"{where} says nothing after its front matter: say what to do")
    category, rest = _categorised({key: front[key] for key in front if key not in ("name", "description")}, where)
    return NewSkill(front["name"], front["description"], body + "\n", category=category, front=rest)


def render(version: SkillVersionRow, category: str = "general") -> str:
    """The text of its SKILL.md."""
    front = {"name": version.skill, **version.front}
    if category != "general":
        metadata = front.get("metadata", {})
        inside = isinstance(metadata, Mapping)
        front |= {"metadata": {**metadata, "category": category}} if inside else {"category": category}
    said = yaml.dump(front, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=10_000, default_flow_style=False)
    return f"---\n{said}---\n\n{version.body.rstrip()}\n"


def diff(before: SkillVersionRow | None, after: SkillVersionRow) -> str:
    """What a version changed in another's SKILL.md, unified, and which files; empty where there was none before."""
    if before is None:
        return ""
    said = difflib.unified_diff(
        render(before).splitlines(),
        render(after).splitlines(),
        f"version {before.version}",
        f"version {after.version}",
        lineterm="",
    )
    return "\n".join([*said, *_changed_files(before.files, after.files)])


def write_folders(directory: Path, skills: Sequence[SkillRow], *, replace: bool = False) -> None:
    """A folder for each skill's version in use, each put in its place at once.

    Raises BadRecord, and FileExistsError where a folder is there and may not be replaced; then none was written.
    """
    for skill in skills:
        check_name(skill.name)
        if not replace and (directory / skill.name).exists():
            raise FileExistsError(f"{directory / skill.name} is there already: say --replace or name another directory")
    for skill in skills:
        target = directory / skill.name
        partial, old = (directory / f".{skill.name}.{os.getpid()}.{what}" for what in ("new", "old"))
        try:
            partial.mkdir(parents=True)
            version = skill.version()
            for path, data in version.files.items():
                (partial / path).parent.mkdir(parents=True, exist_ok=True)
                (partial / path).write_bytes(base64.b64decode(data))
            (partial / "SKILL.md").write_text(render(version, skill.category), encoding="utf-8", newline="\n")
            if target.exists():
                target.rename(old)
            partial.rename(target)
        finally:
            for left in (partial, old):
                with contextlib.suppress(FileNotFoundError):
                    shutil.rmtree(left)


def _categorised(front: dict[str, Any], where: str) -> tuple[str, dict[str, Any]]:
    """The category, and the front matter without it. Raises BadRecord."""
    category, metadata = front.pop("category", None), front.get("metadata")
    if isinstance(metadata, Mapping) and "category" in metadata:
        rest = dict(metadata)
        inner = rest.pop("category")
        category = inner if category is None else category
        front = {**front, "metadata": rest} if rest else {key: front[key] for key in front if key != "metadata"}
    if isinstance(category, Mapping | list):
        raise BadRecord(f"the category in {where} is no text: say one word")
    return str(category or "general"), front


def _text(path: Path) -> str:
    if path.is_symlink():
        raise BadRecord(f"{path} is a link: put the file itself there")
    if path.stat().st_size > 2 * LIMIT_BYTES:
        raise BadRecord(f"{path} is longer than {LIMIT_BYTES} bytes: keep what a prompt can hold")
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise BadRecord(f"{path} is no UTF-8 text (byte {error.start}): save it as UTF-8") from error


def _front(text: str, where: str) -> dict[str, Any]:
    if len(text) > _FRONT_CHARS:
        raise BadRecord(f"the front matter of {where} is longer than {_FRONT_CHARS} characters: move text to the body")
    try:
        front = yaml.load(text, _Loader)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        mark = getattr(error, "problem_mark", None)
        problem = getattr(error, "problem", None) or str(error) or type(error).__name__
        place = f"line {mark.line + 2}: " if mark else ""
        raise BadRecord(f"the front matter of {where} cannot be read: {place}{' '.join(problem.split())}") from error
    if not isinstance(front, dict):
        raise BadRecord(f"the front matter of {where} is no map: write lines of KEY: VALUE")
    return front


def _files(folder: Path) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    size = 0
    for home, folders, names in os.walk(folder):
        for name in sorted([*folders, *names]):
            path = Path(home, name)
            if path.is_symlink() or not (path.is_dir() or path.is_file()):
                raise BadRecord(f"{path} is a link or no plain file: put the file itself there")
            if path.is_file() and path != folder / "SKILL.md":
                size += path.stat().st_size
                if size > LIMIT_BYTES:
                    raise BadRecord(f"the files in {folder} are longer than {LIMIT_BYTES} bytes in all: leave some out")
                found[path.relative_to(folder).as_posix()] = path.read_bytes()
    return found


def _changed_files(before: Mapping[str, str], after: Mapping[str, str]) -> list[str]:
    changed = [path for path in sorted({*before, *after}) if before.get(path) != after.get(path)]
    words = {(True, False): "removed", (False, True): "added", (True, True): "changed"}
    return [f"file {path} {words[path in before, path in after]}" for path in changed]
