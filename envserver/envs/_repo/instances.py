"""Published instances, as SWE-bench (arXiv 2310.06770) and SWE-Gym (arXiv 2412.21139) do: a JSON object a line.

Read are `instance_id`, `repo`, `base_commit`, `problem_statement`, `FAIL_TO_PASS`, `PASS_TO_PASS` (lists, or lists as
JSON text), `test_patch`, `image_name`, and where they are given `patch`, the right change, and `home`, where the
repository lies in the image (`/testbed`). A line without an image is not listed. Tests are named as pytest names
them: `path::name`. A key is `instances/SPLIT/INSTANCE_ID`; which split a line is of says the file it stands in
(ours). Nothing is run here.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

__all__ = ["Instance", "Instances", "instances"]

SPLITS = ("train", "valid", "test")
KEY = re.compile(r"instances/(train|valid|test)/([\w.-]{1,200})", re.ASCII)
TEST = re.compile(r"[^\s:][^:]*\.py::\S.*")
TEXTS = ("instance_id", "repo", "base_commit", "problem_statement", "test_patch")


@dataclass(frozen=True, slots=True)
class Instance:
    """One published instance."""

    name: str
    repo: str
    base_commit: str
    statement: str
    image: str
    home: str
    """Where the repository lies in the image."""
    fail_to_pass: tuple[str, ...]
    pass_to_pass: tuple[str, ...]
    test_patch: str
    patch: str
    """The right change; empty where it is not given."""


class Instances:
    """A directory of instances, indexed. Raises ValueError where it is none, naming the line that is wrong."""

    def __init__(self, path: Path) -> None:
        self._lines: dict[tuple[str, str], tuple[Path, int]] = {}
        """(split, name) -> file and offset."""
        if not path.is_dir():
            raise ValueError(f"instances_dir '{path}' is no directory; name the one that holds train.jsonl or others")
        for split in SPLITS:
            file = path / f"{split}.jsonl"
            if file.is_file():
                self._read(split, file)
        if not self._lines:
            names = ", ".join(f"{split}.jsonl" for split in SPLITS)
            raise ValueError(f"'{path}' holds no instance with an image_name; put them there as {names}")

    def keys(self, split: str) -> list[str]:
        """The keys of a split, in the file's order. Raises KeyError for a split that is not there."""
        if split not in SPLITS:
            raise KeyError(split)
        return [f"instances/{split}/{name}" for of, name in self._lines if of == split]

    def instance(self, key: str) -> Instance:
        """The instance of a key. Raises KeyError, with the reason, where there is none."""
        match = KEY.fullmatch(key)
        if match is None:
            raise KeyError(f"there is no key {key[:80]!r}; keys look like instances/train/pydantic__pydantic-8511")
        if (match[1], match[2]) not in self._lines:
            raise KeyError(f"the {match[1]} split has no instance '{match[2][:80]}'")
        file, offset = self._lines[match[1], match[2]]
        with file.open("rb") as stream:
            stream.seek(offset)
            found = _instance(json.loads(stream.readline()))
        assert found is not None, key
        return found

    def _read(self, split: str, file: Path) -> None:
        offset = 0
        with file.open("rb") as stream:
            for number, line in enumerate(stream, 1):
                if line.strip():
                    try:
                        found = _instance(json.loads(line))
                    except (ValueError, RecursionError) as error:
                        raise ValueError(f"{file}:{number} is no instance: {str(error)[:200]}") from None
                    if found is not None and self._lines.setdefault((split, found.name), (file, offset))[1] != offset:
                        raise ValueError(f"{file}:{number} names '{found.name}' again")
                offset += len(line)


@lru_cache(maxsize=4)
def instances(path: Path) -> Instances:
    """The index of a directory, read once a process."""
    return Instances(path)


def _instance(row: Any) -> Instance | None:
    """A line's instance; None where it has no image. Raises ValueError."""
    if not isinstance(row, dict):
        raise ValueError("it is no object")
    if not row.get("image_name"):
        return None
    for name in (*TEXTS, "image_name"):
        if not isinstance(row.get(name), str) or not row[name].strip():
            raise ValueError(f"it has no text '{name}'")
    if KEY.fullmatch(f"instances/train/{row['instance_id']}") is None:
        raise ValueError(f"'{row['instance_id'][:80]}' cannot be part of a key")
    patch, home = row.get("patch") or "", row.get("home") or "/testbed"
    if not isinstance(patch, str) or not isinstance(home, str) or not home.startswith("/"):
        raise ValueError("'patch' is a text, 'home' an absolute path")
    fail, keep = _tests(row, "FAIL_TO_PASS"), _tests(row, "PASS_TO_PASS")
    if not fail:
        raise ValueError("'FAIL_TO_PASS' is empty, so there is nothing to mend")
    return Instance(
        name=row["instance_id"],
        repo=row["repo"],
        base_commit=row["base_commit"],
        statement=row["problem_statement"],
        image=row["image_name"],
        home=home,
        fail_to_pass=fail,
        pass_to_pass=keep,
        test_patch=row["test_patch"],
        patch=patch,
    )


def _tests(row: dict[str, Any], name: str) -> tuple[str, ...]:
    value = row.get(name)
    if isinstance(value, str):
        value = json.loads(value)
    if not isinstance(value, list) or not all(isinstance(one, str) and TEST.fullmatch(one) for one in value):
        raise ValueError(f"'{name}' is no list of tests as pytest names them, path.py::name")
    return tuple(dict.fromkeys(value))
