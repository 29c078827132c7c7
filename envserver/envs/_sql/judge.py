"""Whether two results are the same, and how one is shown."""

from __future__ import annotations

import math
from typing import Any

from envserver.envs._sql.guarded import Answer, Row

__all__ = ["same", "shown"]

CELL_CHARS = 120
SHOWN_CHARS = 8192


def same(one: list[Row], other: list[Row], *, ordered: bool) -> bool:
    """Whether rows are the same: types count but for whole numbers and floats, floats to 1e-6, NULL is NULL.

    Columns have their order; rows have one where `ordered`.
    """
    if len(one) != len(other):
        return False
    if ordered:
        return all(map(_same_row, one, other))
    left = list(other)
    for row in one:
        place = next((place for place, against in enumerate(left) if _same_row(row, against)), None)
        if place is None:
            return False
        del left[place]
    return True


def _same_row(one: Row, other: Row) -> bool:
    return len(one) == len(other) and all(map(_same_cell, one, other))


def _same_cell(one: Any, other: Any) -> bool:
    if isinstance(one, int | float) and isinstance(other, int | float):
        return one == other or math.isclose(one, other, rel_tol=1e-6, abs_tol=1e-6)
    return type(one) is type(other) and bool(one == other)


def shown(answer: Answer) -> str:
    """A result as text: names, rows, and how many there are."""
    names, rows, more = answer
    lines = [" | ".join(name[:CELL_CHARS] for name in names)]
    chars = len(lines[0])
    for count, row in enumerate(rows):
        line = " | ".join(map(_cell, row))
        if chars + len(line) > SHOWN_CHARS:
            return "\n".join([*lines, f"(the first {count} rows; there are more)"])
        lines.append(line)
        chars += len(line) + 1
    total = f"the first {len(rows)} rows; there are more" if more else f"{len(rows)} row{'s' * (len(rows) != 1)}"
    return "\n".join([*lines, f"({total})"])


def _cell(value: Any) -> str:
    if value is None:
        return "NULL"
    said = f"x'{value[:CELL_CHARS].hex()}'" if isinstance(value, bytes) else str(value)
    said = said.replace("\n", "\\n")
    return said if len(said) <= CELL_CHARS else said[: CELL_CHARS - 3] + "..."
