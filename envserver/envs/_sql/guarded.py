"""A database that is asked by strangers: reading only, in bounds that are the same on every machine.

SQLite runs in the worker, for a query takes microseconds here and tens of milliseconds in a process of its own. What
makes that safe: the authorizer allows reading, and functions of a list, when a statement is prepared, so ATTACH,
PRAGMA, transactions, temporary tables, virtual tables, `load_extension`, the clock and chance do not get past it;
`query_only` stands behind it; a file is opened read-only and immutable. What bounds it: the steps of SQLite's machine
are counted, not the time, so the bound is part of the answer and as deterministic as the rest; text, rows, columns,
depth and joins have limits, and functions whose one call could take long (LIKE and GLOB backtrack) are ours and do
not. Where a query takes too much of the process's heap, or of the clock in spite of all that, it is no answer but
`Runaway`: a failed world. What is left is trust in SQLite's own parser and machine, which are fuzzed for hostile SQL;
where that is not enough, serve this world on a server of its own.
"""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

__all__ = ["Answer", "Guarded", "Refused", "Row", "Runaway", "opened"]

Row = tuple[Any, ...]
Answer = tuple[list[str], list[Row], bool]
"""Names of columns, rows, and whether there are more."""

STEPS = 4_000_000
"""Of SQLite's machine, in one query: a tenth of a second to a second."""
EVERY = 10_000
CALL_STEPS = 20
"""What a call of a function of ours counts for."""
CLOCK_S = 20.0
HEAP_BYTES = 512 << 20
LIMITS = {
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 10_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 100,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 100,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 20,
    sqlite3.SQLITE_LIMIT_VDBE_OP: 25_000,
    sqlite3.SQLITE_LIMIT_FUNCTION_ARG: 20,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 200,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 0,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 1,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}
FUNCTIONS = frozenset(
    re.findall(
        r"\w+",
        "abs avg ceil ceiling coalesce count cume_dist date datetime dense_rank first_value floor glob group_concat "
        "ifnull "
        "iif instr julianday lag last_value lead length like lower ltrim max min nth_value ntile nullif percent_rank "
        "rank "
        "replace round row_number rtrim sign strftime substr substring sum time total trim typeof unicode upper",
    )
)
"""Those that can be called: quick, and the same on every machine."""
SINGLE = {"like": "_", "glob": "?"}
NOW = {"now", "subsec", "subsecond", "localtime", "utc"}
"""What dates are told by the machine's clock or its zone."""
CLOCKS = ("date", "time", "datetime", "julianday", "strftime")


class Refused(Exception):
    """Raised for a query that is not answered; says why."""


class Runaway(RuntimeError):
    """Raised for a query that took too much in spite of all bounds."""


class Guarded:
    """A connection for strangers' queries, used by one thread at a time. It closes what it is given with itself."""

    def __init__(self, link: sqlite3.Connection, *, longest_bytes: int, steps: int = STEPS) -> None:
        """`longest_bytes` of a text or a row. Nothing is written from here on.

        The connection caches no statement: one that is used again goes on counting its steps.
        """
        self._link = link
        self._plain = sqlite3.connect(":memory:", check_same_thread=False)
        self.steps = steps
        """How many a query may take."""
        self._steps = 0
        self._end_s = 0.0
        link.execute(f"PRAGMA hard_heap_limit = {HEAP_BYTES}")
        link.execute("PRAGMA temp_store = MEMORY")
        link.execute("PRAGMA query_only = ON")
        for limit, value in LIMITS.items():
            link.setlimit(limit, value)
        link.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, longest_bytes)
        self._replace_functions(longest_bytes)
        link.text_factory = lambda raw: raw.decode(errors="replace")
        link.set_progress_handler(self._tick, EVERY)
        self.tables: dict[str, str] = dict(
            link.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
        )
        """Name -> the statement that made it, of tables and views."""
        self._readable = {name.lower() for name in self.tables} | {"sqlite_master", "sqlite_schema"}
        link.set_authorizer(self._allowed)

    def ask(self, query: str, most_rows: int) -> Answer:
        """The first rows of a query. Raises Refused, Runaway."""
        self._steps, self._end_s = 0, time.monotonic() + CLOCK_S
        cursor = self._link.cursor()
        try:
            cursor.execute(query.encode(errors="replace").decode())
            if cursor.description is None:
                raise Refused("only a SELECT can be asked")
            rows = cursor.fetchmany(most_rows + 1)
        except MemoryError:
            raise Runaway("a query took too much memory") from None
        except (sqlite3.Error, sqlite3.Warning, ValueError) as error:
            if time.monotonic() > self._end_s:
                raise Runaway(f"a query took more than {CLOCK_S:g} s") from None
            if "interrupted" in str(error) or self._steps > self.steps:
                raise Refused(f"the query takes more than {self.steps:,} steps; ask for less") from None
            raise Refused(_words(error)) from None
        finally:
            cursor.close()
        return [column[0] for column in cursor.description or ()], rows[:most_rows], len(rows) > most_rows

    def close(self) -> None:
        """Let the database go."""
        self._link.close()
        self._plain.close()

    def __del__(self) -> None:
        if hasattr(self, "_plain"):
            self.close()

    def _allowed(self, action: int, one: str | None, other: str | None, *_: str | None) -> int:
        good = action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE)
        if action == sqlite3.SQLITE_READ:
            # Where no column is read, as by COUNT(*), the name may be that of a part of the query.
            good = not other or (one or "").lower() in self._readable
        elif action == sqlite3.SQLITE_FUNCTION:
            good = (other or "").lower() in FUNCTIONS
        return sqlite3.SQLITE_OK if good else sqlite3.SQLITE_DENY

    def _tick(self) -> int:
        self._steps += EVERY
        return self._steps > self.steps or time.monotonic() > self._end_s

    def _replace_functions(self, longest_bytes: int) -> None:
        """Put ours for those that could take long, or tell the time."""
        ours: dict[str, tuple[int, Callable[..., Any]]] = {
            "like": (2, lambda pattern, text: _matches(pattern, text, "%", "_", fold=True)),
            "glob": (2, lambda pattern, text: _matches(pattern, text, "*", "?", fold=False)),
            "instr": (2, lambda text, part: text.find(part) + 1),
            "replace": (3, lambda text, part, other: _replaced(text, part, other, longest_bytes)),
            "trim": (2, str.strip),
            "ltrim": (2, str.lstrip),
            "rtrim": (2, str.rstrip),
        }
        for name, (arguments, made) in ours.items():
            self._link.create_function(name, arguments, self._of_texts(made, SINGLE.get(name, "")), deterministic=True)
        # LIKE with ESCAPE would be SQLite's own.
        self._link.create_function("like", 3, _refused, deterministic=True)
        for name in CLOCKS:
            self._link.create_function(name, -1, self._clock(name), deterministic=True)

    def _of_texts(self, made: Callable[..., Any], single: str) -> Callable[..., Any]:
        """A function of texts that is paid for in steps, NULL where one is; `single` stands for any one sign."""

        def paid(*given: Any) -> Any:
            if None in given:
                return None
            if any(isinstance(one, bytes) for one in given):
                raise ValueError
            texts = [one if isinstance(one, str) else str(one) for one in given]
            # What walks sign by sign in Python takes a hundred times as long.
            signs = len(texts[0]) * len(texts[1])
            self._steps += CALL_STEPS + signs // (5 if single and single in texts[0] else 500)
            if self._steps > self.steps:
                raise ValueError
            return made(*texts)

        return paid

    def _clock(self, name: str) -> Callable[..., Any]:
        """SQLite's own function of dates, which is never told that it is now."""
        least = 2 if name == "strftime" else 1

        def made(*given: Any) -> Any:
            words = [one.strip().lower() for one in given if isinstance(one, str)]
            # A blob may hold the word too.
            if len(given) < least or NOW & set(words) or any(isinstance(one, bytes) for one in given):
                raise ValueError
            return self._plain.execute(f"SELECT {name}({', '.join('?' * len(given))})", given).fetchone()[0]

        return made


def _refused(*_: Any) -> None:
    raise ValueError


def _replaced(text: str, part: str, other: str, longest: int) -> str:
    if not part:
        return text
    if len(text) + text.count(part) * (len(other) - len(part)) > longest:
        raise ValueError
    return text.replace(part, other)


def _matches(pattern: str, text: str, several: str, one: str, *, fold: bool) -> bool:
    """LIKE, or GLOB without its brackets, in time of pattern times text: only the last wildcard is ever tried again."""
    if fold:
        pattern, text = pattern.lower(), text.lower()
    if one not in pattern:
        return _in_pieces(pattern.split(several), text)
    at = place = mark = 0
    star = -1
    while at < len(text):
        if place < len(pattern) and pattern[place] == several:
            star, mark = place, at
            place += 1
        elif place < len(pattern) and pattern[place] in (one, text[at]):
            at, place = at + 1, place + 1
        elif star >= 0:
            mark += 1
            at, place = mark, star + 1
        else:
            return False
    return all(sign == several for sign in pattern[place:])


def _in_pieces(pieces: list[str], text: str) -> bool:
    """Whether a text is these pieces with anything between them."""
    if len(pieces) == 1:
        return text == pieces[0]
    first, *middle, last = pieces
    at = len(first)
    for piece in middle:
        at = text.find(piece, at)
        if at < 0:
            return False
        at += len(piece)
    return text.startswith(first) and len(text) - at >= len(last) and text.endswith(last)


def _words(error: Exception) -> str:
    """What SQLite says, where its own words would not help."""
    said = str(error)
    if said == "user-defined function raised exception":
        return "a function cannot be called so; the time of now is not to be had, ESCAPE is not, and texts have a limit"
    if "not authorized" in said or "prohibited" in said:
        return f"{said}: only reading is allowed"
    return said[:300].rstrip(".")


def opened(path: Path) -> sqlite3.Connection:
    """A file, to be read only, as it is: nothing of it is locked or written."""
    return sqlite3.connect(
        f"file:{path.resolve().as_posix().replace('?', '%3f').replace('#', '%23')}?mode=ro&immutable=1",
        uri=True,
        check_same_thread=False,
        isolation_level=None,
        cached_statements=0,
    )
