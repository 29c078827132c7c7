"""What a bench found: tables, as Markdown for docs/benchmarks.md or as JSON; and what all of them measure with."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from statistics import median

import psutil

__all__ = ["Report", "Table", "cores", "cpu_s", "machine", "percentile", "pin", "ratio", "resident_bytes"]

Cell = str | int | float | None


@dataclass(frozen=True)
class Table:
    """One comparison."""

    title: str
    note: str
    """How it was measured, in a sentence or two."""
    head: tuple[str, ...]
    rows: Sequence[tuple[Cell, ...]]

    def as_markdown(self) -> str:
        """What docs/benchmarks.md holds."""
        out = [f"### {self.title}", "", self.note, ""]
        out += ["| " + " | ".join(self.head) + " |", "|" + "---|" * len(self.head)]
        out += ["| " + " | ".join(_shown(cell) for cell in row) + " |" for row in self.rows]
        return "\n".join(out)


@dataclass(frozen=True)
class Report:
    """Tables of one run."""

    tables: list[Table]

    def as_json(self) -> dict[str, object]:
        """The machine and every table."""
        return {"machine": machine(), "tables": [asdict(table) for table in self.tables]}


def machine() -> str:
    """Cores, interpreter and the versions that matter, in a line."""
    parts = [f"{len(cores())} cores ({platform.machine()})", f"Python {platform.python_version()}"]
    for name in ("uvicorn", "uvloop", "websockets", "textworld"):
        try:
            parts.append(f"{name} {version(name)}")
        except PackageNotFoundError:
            continue
    return ", ".join(parts)


def cores() -> list[int]:
    """Cores this process may use."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else list(range(os.cpu_count() or 1))


def pin(pid: int, core: int) -> None:
    """Keep every thread of a process on one core, where the system can."""
    if not hasattr(os, "sched_setaffinity"):
        return
    for thread in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(thread.name), {core})


def resident_bytes(pid: int) -> int:
    """Resident memory of one process."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


def cpu_s(pid: int) -> float:
    """CPU time a process has had, in the kernel too."""
    times = psutil.Process(pid).cpu_times()
    return float(times.user + times.system)


def ratio(mine: Sequence[float], theirs: Sequence[float]) -> float:
    """Median over median."""
    return median(mine) / median(theirs)


def percentile(values: Iterable[float], share: float) -> float:
    """The value that `share` of all values do not exceed; nan where there are none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def _shown(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, float):
        return f"{cell:,.0f}" if abs(cell) >= 100 else f"{cell:.3g}"
    return f"{cell:,}" if isinstance(cell, int) else cell
