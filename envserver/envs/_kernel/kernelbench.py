"""KernelBench's own directory (github.com/ScalingIntelligence/KernelBench), unchanged: `kernelbench/level1/23_Softmax`.

Its problems are sized for a GPU: half of them hold more than 256 MB. On a CPU the whole numbers above 8 that are
assigned at module level are divided by the least power of two, 1 to 1024, with which the inputs hold at most 2^20
elements and the problem runs; none below 8. Which that is, is found on a stage, once, and kept.
"""

from __future__ import annotations

import ast
import hashlib
import json
import re
from functools import cache
from pathlib import Path

from envserver.envs._kernel.compiling import cache_root
from envserver.envs._kernel.evaluate import Plan, first_that_fits
from envserver.envs._kernel.problems import Problem

__all__ = ["bench_names", "bench_problem", "shrunk"]

KEY = re.compile(r"kernelbench/(level[1-9])/([A-Za-z0-9_\-+.]{1,150})", re.ASCII)
FACTORS = tuple(1 << power for power in range(11))
LEAST = 8
MOST_ELEMENTS = 1 << 20


@cache
def bench_names(directory: Path) -> tuple[str, ...]:
    """Keys of a directory, by level and number. Raises ValueError where it has no problem."""
    found = []
    for path in _root(directory).glob("level[1-9]/*.py"):
        number = re.match(r"\d+", path.stem)
        found.append((path.parent.name, int(number[0]) if number else 0, path.stem))
    if not found:
        raise ValueError(f"{directory} holds no level1/*.py; give KernelBench's directory")
    return tuple(f"kernelbench/{level}/{stem}" for level, _, stem in sorted(found))


def bench_problem(directory: Path, key: str, plan: Plan) -> Problem:
    """The problem a key names, sized for the plan's device. Raises KeyError, RuntimeError where no size runs."""
    match = KEY.fullmatch(key)
    path = _root(directory) / match[1] / f"{match[2]}.py" if match else None
    if path is None or not path.is_file():
        raise KeyError(f"there is no problem {key[:80]!r} in KernelBench's directory")
    source = path.read_text(encoding="utf-8")
    summary = f"KernelBench, {path.parent.name}: {path.stem.partition('_')[2].replace('_', ' ')}"
    return Problem(key, summary, source if plan.device == "cuda" else _fitting(source, plan))


def shrunk(source: str, factor: int) -> str:
    """A source whose whole numbers at module level are divided."""
    lines = source.splitlines(keepends=True)
    edits = []
    for node in ast.parse(source).body:
        for one in ast.walk(node.value) if isinstance(node, ast.Assign) else ():
            if isinstance(one, ast.Constant) and type(one.value) is int and one.value > LEAST:
                edits.append((one.lineno - 1, one.col_offset, one.end_col_offset or 0, max(LEAST, one.value // factor)))
    for line, start, end, value in sorted(edits, reverse=True):
        text = lines[line].encode()
        lines[line] = (text[:start] + str(value).encode() + text[end:]).decode()
    return "".join(lines)


def _fitting(source: str, plan: Plan) -> str:
    said = hashlib.sha256(source.encode()).hexdigest()
    kept = cache_root() / "sizes" / f"{said}.json"
    if kept.exists():
        return shrunk(source, json.loads(kept.read_text())["factor"])
    at, why = first_that_fits([shrunk(source, factor) for factor in FACTORS], MOST_ELEMENTS, plan)
    if at is None:
        raise RuntimeError(f"the problem runs at no size that a CPU can take: {why}")
    kept.parent.mkdir(parents=True, exist_ok=True)
    kept.write_text(json.dumps({"factor": FACTORS[at]}))
    return shrunk(source, FACTORS[at])


def _root(directory: Path) -> Path:
    return directory / "KernelBench" if (directory / "KernelBench").is_dir() else directory
