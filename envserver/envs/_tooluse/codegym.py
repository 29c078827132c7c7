"""CodeGym's published files (arXiv 2509.17325): a directory of environments and of the tasks to play in them.

A task is a line of a `.jsonl` file: `ability` is `codegym_v1@CODE__CLASS@{arguments}`, the user's message of `prompt`
ends with the question. Its environment is the file `CODE__CLASS.py` anywhere below the directory, else the source in
the line's `extra_info.gym_env`. A key is `codegym/SPLIT/CODE__CLASS/N`, the N-th line of that environment; an
environment belongs to one split by its name (ours). Nothing of them is run here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from envserver.numbered import SIZES, belongs

__all__ = ["Folder", "ForeignTask", "folder"]

ABILITY = re.compile(r"codegym_v1@((\w{1,200})__([A-Za-z_]\w{0,99}))@(.+)", re.ASCII | re.DOTALL)
KEY = re.compile(r"codegym/(train|valid|test)/(\w{1,300})/(0|[1-9]\d{0,6})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ForeignTask:
    """One task of a published environment."""

    name: str
    """The environment's class."""
    source: str
    """Its Python, which nobody has read."""
    task: str
    """What its `from_env_str` takes: `CLASS@{arguments}`."""
    question: str


class Folder:
    """A directory of CodeGym's files, indexed. Raises ValueError where it is none, naming the line that is wrong."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lines: dict[str, list[tuple[Path, int]]] = {}
        """Environment -> file and offset of each of its lines."""
        if not path.is_dir():
            raise ValueError(f"codegym_dir '{path}' is no directory; name the one that holds CodeGym's files")
        self._sources = {file.stem: file for file in sorted(path.rglob("*.py"))}
        for file in sorted(path.rglob("*.jsonl")):
            self._read(file)
        if not self._lines:
            raise ValueError(f"'{path}' holds no task; put CodeGym's training instances there, as .jsonl")

    def keys(self, split: str) -> list[str]:
        """The keys of a split, by environment. Raises KeyError for a split that is not there."""
        if split not in SIZES:
            raise KeyError(split)
        mine = [(name, lines) for name, lines in self._lines.items() if belongs(name, split)]
        return [f"codegym/{split}/{name}/{number}" for name, lines in sorted(mine) for number in range(len(lines))]

    def task(self, key: str) -> ForeignTask:
        """The task of a key. Raises KeyError, with the reason, where there is none."""
        match = KEY.fullmatch(key)
        if match is None:
            raise KeyError(f"there is no key {key[:80]!r}; keys look like codegym/train/CODE__CLASS/0")
        split, name, number = match[1], match[2], int(match[3])
        lines = self._lines.get(name, [])
        if number >= len(lines) or not belongs(name, split):
            raise KeyError(f"the {split} split has no task {number} of '{name[:80]}'")
        file, offset = lines[number]
        with file.open("rb") as stream:
            stream.seek(offset)
            row = json.loads(stream.readline())
        found = ABILITY.fullmatch(row["ability"])
        assert found is not None, key
        source = self._sources.get(name)
        text = source.read_text(encoding="utf-8") if source else row["extra_info"]["gym_env"]
        return ForeignTask(found[3], text, f"{found[3]}@{found[4]}", _question(row))

    def _read(self, file: Path) -> None:
        offset = 0
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    self._lines.setdefault(self._name(line, f"{file}:{number}"), []).append((file, offset))
                offset += len(line)

    def _name(self, line: bytes, where: str) -> str:
        """The environment of a line."""
        try:
            row = json.loads(line)
            match = ABILITY.fullmatch(row["ability"])
            _question(row)
        except (ValueError, KeyError, TypeError, IndexError, RecursionError) as error:
            raise ValueError(f"{where} is no task of CodeGym: {type(error).__name__}: {str(error)[:100]}") from None
        if match is None:
            raise ValueError(f"{where} has an 'ability' that is not codegym_v1@CODE__CLASS@{{arguments}}")
        more = row.get("extra_info")
        if match[1] not in self._sources and not (isinstance(more, dict) and isinstance(more.get("gym_env"), str)):
            raise ValueError(f"{where} needs '{match[1]}.py', which is nowhere in '{self.path}'")
        return match[1]


@lru_cache(maxsize=4)
def folder(path: Path) -> Folder:
    """The index of a directory, read once a process."""
    return Folder(path)


def _question(row: Any) -> str:
    """What the user asks, without the published advice on how to call functions."""
    content = next(message["content"] for message in row["prompt"] if message["role"] == "user")
    if not isinstance(content, str) or not content.strip():
        raise ValueError("the user's message is no text")
    return content.rpartition("Question:\n")[2].strip() or content.strip()
