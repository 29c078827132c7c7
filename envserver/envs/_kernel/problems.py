"""What there is to speed up: files in KernelBench's form, read without being executed.

A file has a class `Model`, `get_inputs()`, `get_init_inputs()` and its sizes as plain assignments at module level. Two
more assignments may stand in it, `CPU = dict(NAME=value, ...)` and `GPU = dict(...)`: on that device the sizes of these
names are these. What a player reads, and what runs, is the source with its device's sizes in place and neither table.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from typing import Literal

__all__ = ["Device", "Problem", "gold", "names", "problem", "sized"]

Device = Literal["cpu", "cuda"]
SUITE = Path(__file__).with_name("suite")
GOLD = Path(__file__).with_name("gold")
KEY = re.compile(r"suite/(level[1-9])/([A-Za-z0-9_]{1,100})", re.ASCII)
TABLES: dict[str, str] = {"cpu": "CPU", "cuda": "GPU"}
SHARES = {"train": (0, 1, 2), "valid": (3,), "test": (4,)}
"""Of every five problems of a level, in the order of their names, those of each split."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One reference."""

    key: str
    summary: str
    """First line of the file's docstring; empty where it has none."""
    source: str
    """With the sizes of a device."""


@cache
def names(split: str) -> tuple[str, ...]:
    """Keys of a split of our suite. Raises KeyError."""
    if split not in SHARES:
        raise KeyError(f"kernel has no split '{split[:40]}'; there are: {', '.join(SHARES)}")
    found: list[str] = []
    for level in sorted(SUITE.glob("level*")):
        stems = sorted(path.stem for path in level.glob("*.py"))
        found += [f"suite/{level.name}/{stem}" for at, stem in enumerate(stems) if at % 5 in SHARES[split]]
    return tuple(found)


@lru_cache(maxsize=512)
def problem(key: str, device: Device) -> Problem:
    """The problem a key names. Raises KeyError."""
    path = _path(SUITE, key)
    if path is None:
        raise KeyError(f"kernel has no key {key[:80]!r}; keys look like suite/level2/{next(_stems(2), 'NAME')}")
    text = path.read_text(encoding="utf-8")
    summary = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return Problem(key, summary, sized(text, device))


def gold(key: str) -> str | None:
    """The hand-written `cpp` solution of a problem of our suite, where there is one."""
    path = _path(GOLD, key)
    return None if path is None else path.read_text(encoding="utf-8")


def sized(source: str, device: Device) -> str:
    """A source with its device's sizes in place. Raises ValueError where a table names what is no size."""
    assigned: dict[str, ast.Assign] = {}
    for node in ast.parse(source).body:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            assigned[node.targets[0].id] = node
    edits: list[tuple[int, int, str]] = []
    """First and last line of what is replaced, from 0, and what stands there then."""
    for name in TABLES.values():
        table = assigned.pop(name, None)
        if table is None:
            continue
        edits.append((table.lineno - 1, _last(table), ""))
        if name != TABLES[device]:
            continue
        for size, value in _entries(table).items():
            if size not in assigned:
                raise ValueError(f"{name} names '{size}', which is no assignment at module level")
            edits.append((assigned[size].lineno - 1, _last(assigned[size]), f"{size} = {ast.unparse(value)}\n"))
    lines = source.splitlines(keepends=True)
    for first, last, text in sorted(edits, reverse=True):
        lines[first : last + 1] = [text] if text else []
    return re.sub(r"\n{4,}", "\n\n\n", "".join(lines)).strip() + "\n"


def _entries(table: ast.Assign) -> dict[str, ast.expr]:
    call = table.value
    if isinstance(call, ast.Call) and isinstance(call.func, ast.Name) and call.func.id == "dict" and not call.args:
        return {word.arg: word.value for word in call.keywords if word.arg is not None}
    raise ValueError("a table of sizes is written CPU = dict(NAME=value, ...)")


def _last(node: ast.stmt) -> int:
    return (node.end_lineno or node.lineno) - 1


def _path(root: Path, key: str) -> Path | None:
    match = KEY.fullmatch(key)
    path = root / match[1] / f"{match[2]}.py" if match else None
    return path if path is not None and path.is_file() else None


def _stems(level: int) -> Iterator[str]:
    return (path.stem for path in sorted((SUITE / f"level{level}").glob("*.py")))
