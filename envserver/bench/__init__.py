"""`envserver bench`: the server beside its peers, measured in one run.

Every figure that compares two things takes them in turn (A B A B) and reports the ratio of their medians, since the
machine's own speed changes more between runs than within one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from envserver.bench.report import Report, Table, machine

__all__ = ["PARTS", "USUAL", "Report", "Table", "machine", "run"]


def _null(quick: bool) -> list[Table]:
    from envserver.bench.null import measure

    return measure(quick)


def _suite(quick: bool) -> list[Table]:
    from envserver.bench.suite import measure

    return measure(quick)


def _textworld(quick: bool) -> list[Table]:
    from envserver.bench.textworld import measure

    return measure(quick)


def _alfworld(quick: bool) -> list[Table]:
    from envserver.bench.alfworld import measure

    return measure(quick)


def _scienceworld(quick: bool) -> list[Table]:
    from envserver.bench.scienceworld import measure

    return measure(quick)


def _kernels(quick: bool) -> list[Table]:
    from envserver.bench.kernels import measure

    return measure(quick)


def _protocols(quick: bool) -> list[Table]:
    from envserver.bench.protocols import measure

    return measure(quick)


def _sandboxes(quick: bool) -> list[Table]:
    from envserver.bench.sandboxes import measure

    return measure(quick)


def _sessions(quick: bool) -> list[Table]:
    from envserver.bench.sessions import measure

    return measure(quick)


def _worlds(quick: bool) -> list[Table]:
    from envserver.bench.worlds import measure

    return measure(quick)


PARTS: dict[str, Callable[[bool], list[Table]]] = {
    "alfworld": _alfworld,
    "null": _null,
    "kernels": _kernels,
    "protocols": _protocols,
    "sandboxes": _sandboxes,
    "scienceworld": _scienceworld,
    "sessions": _sessions,
    "suite": _suite,
    "textworld": _textworld,
    "worlds": _worlds,
}
"""Parts of the bench by name; each takes `quick` and imports what it needs when it runs."""
USUAL = tuple(part for part in PARTS if part != "suite")
"""Those that are measured where none is named."""


def run(parts: Sequence[str], *, quick: bool = False) -> Iterator[Table]:
    """Measure the named parts one after the other; each table as soon as it is there.

    All of them take about fifteen minutes, `quick` a few. Raises ModuleNotFoundError where a part's extra is not
    installed.
    """
    for part in parts:
        yield from PARTS[part](quick)
