"""A directory of a user's questions in the manner of Spider and BIRD.

Questions stand in `.json` (a list) or `.jsonl` files: `question`, the query as `query` or `SQL`, the database as
`db_id` or as a path `db_path` below the directory; BIRD's `evidence` is told too. A database is a file `DB.sqlite` in
a directory DB anywhere below; others beside it are instances of the same tables, as in Spider's test suites. Where
there is no other, one is made in memory: the same with every third row taken away. A key is `files/SPLIT/FILE/N`; a
question belongs to one split by its words and its database (ours).
"""

from __future__ import annotations

import json
import re
import sqlite3
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from envserver.envs._sql.guarded import Guarded, Refused, opened
from envserver.envs._sql.keys import MOST_ROWS, Posed
from envserver.envs._sql.templates import Asked
from envserver.numbered import SIZES, belongs

__all__ = ["Files", "files", "in_order"]

KEY = re.compile(r"files/(train|valid|test)/([\w.-]{1,200})/(0|[1-9]\d{0,7})", re.ASCII)
LONGEST_BYTES = 1 << 20
THINNED_BYTES = 64 << 20
"""Largest database of which another instance is made."""
INSTANCES = 5
STEPS = 40_000_000
"""Of one query: these databases may be large."""


@dataclass(frozen=True, slots=True)
class Row:
    """One question of a file."""

    words: str
    query: str
    database: Path


class Files:
    """A directory of questions, indexed. Raises ValueError where it is none, naming what is wrong."""

    def __init__(self, path: Path) -> None:
        if not path.is_dir():
            raise ValueError(f"files_dir '{path}' is no directory; name the one that holds questions and databases")
        self.path = path
        self._databases = {file.stem: file for file in sorted(path.rglob("*.sqlite")) if file.parent.name == file.stem}
        self._rows: dict[str, Row] = {}
        for file in sorted([*path.glob("*.json"), *path.glob("*.jsonl")]):
            if file.stem != "tables":
                self._read(file)
        if not self._rows:
            raise ValueError(f"'{path}' holds no question; put .json or .jsonl files there")

    def keys(self, split: str) -> list[str]:
        """The keys of a split. Raises KeyError for a split that is not there."""
        if split not in SIZES:
            raise KeyError(split)
        return [key for key in self._rows if key.split("/")[1] == split]

    def posed(self, key: str) -> Posed:
        """The question of a key. Raises KeyError where there is none, RuntimeError where its own query is refused."""
        if KEY.fullmatch(key) is None:
            raise KeyError(f"there is no key {key[:80]!r}; keys look like files/train/FILE/0")
        if key not in self._rows:
            raise KeyError(f"the server's files have no question '{key[:80]}'")
        row = self._rows[key]
        databases = [Guarded(link, longest_bytes=LONGEST_BYTES, steps=STEPS) for link in _instances(row.database)]
        try:
            right = [database.ask(row.query, MOST_ROWS + 1)[1] for database in databases]
        except Refused as refused:
            raise RuntimeError(f"the query of '{key}' is refused: {refused}") from None
        if any(len(rows) > MOST_ROWS for rows in right):
            raise RuntimeError(f"the query of '{key}' gives more than {MOST_ROWS} rows")
        return Posed(Asked(row.words, row.query, in_order(row.query)), databases, right)

    def _read(self, file: Path) -> None:
        try:
            text = file.read_text(encoding="utf-8")
            rows = (
                json.loads(text) if file.suffix == ".json" else [json.loads(x) for x in text.splitlines() if x.strip()]
            )
            if not isinstance(rows, list) or re.fullmatch(r"[\w.-]{1,200}", file.stem, re.ASCII) is None:
                raise ValueError("it holds no list, or its name has other signs than letters, digits, '.', '_' and '-'")
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{file} is no file of questions: {str(error)[:120]}") from None
        for number, one in enumerate(rows):
            try:
                row = self._row(one)
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                told = f"{type(error).__name__}: {str(error)[:120]}"
                raise ValueError(f"question {number} of {file} is none: {told}") from None
            split = next(split for split in SIZES if belongs(f"{row.database.stem}: {row.words}", split))
            self._rows[f"files/{split}/{file.stem}/{number}"] = row

    def _row(self, one: dict[str, Any]) -> Row:
        words, query = one["question"], one["query"] if "query" in one else one["SQL"]
        if not isinstance(words, str) or not words.strip() or not isinstance(query, str):
            raise ValueError("question and query are texts")
        if "db_path" in one:
            database = (self.path / one["db_path"]).resolve()
            if not database.is_relative_to(self.path.resolve()) or not database.is_file():
                raise ValueError(f"there is no database '{one['db_path']}' below the directory")
        elif one["db_id"] not in self._databases:
            raise ValueError(f"there is no database {one['db_id']}/{one['db_id']}.sqlite")
        else:
            database = self._databases[one["db_id"]]
        evidence = one.get("evidence")
        return Row(f"{words.strip()}\n({evidence})" if evidence else words.strip(), query, database)


@lru_cache(maxsize=4)
def files(path: Path) -> Files:
    """The index of a directory, read once a process."""
    return Files(path)


def in_order(query: str) -> bool:
    """Whether a query gives its rows in an order: it has an ORDER BY outside of brackets and texts."""
    bare, before = re.sub(r"'[^']*'", "''", query), ""
    while bare != before:
        before, bare = bare, re.sub(r"\([^()]*\)", " ", bare)
    return re.search(r"\border\s+by\b", bare, re.IGNORECASE) is not None


def _instances(path: Path) -> list[sqlite3.Connection]:
    """The database itself, and others of the same tables."""
    others = [file for file in sorted(path.parent.glob("*.sqlite")) if file != path][: INSTANCES - 1]
    links = [opened(file) for file in (path, *others)]
    if not others and path.stat().st_size <= THINNED_BYTES:
        links.append(_thinned(links[0]))
    return links


def _thinned(link: sqlite3.Connection) -> sqlite3.Connection:
    """The same in memory, with every third row taken away."""
    copy = sqlite3.connect(":memory:", check_same_thread=False, isolation_level=None, cached_statements=0)
    link.backup(copy)
    for (name,) in copy.execute(
        "SELECT name FROM sqlite_master WHERE type = 'table' AND sql LIKE 'CREATE TABLE%'"
    ).fetchall():
        quoted = '"' + name.replace('"', '""') + '"'
        try:
            copy.execute(f"DELETE FROM {quoted} WHERE rowid % 3 = 1")
        except sqlite3.OperationalError:
            continue  # it has no rowid
    return copy
