"""What a program costs in a sandbox: from the call to its result, beside a bare interpreter that is started for it."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from statistics import median

from envserver.bench.report import Cell, Table, cores, percentile
from envserver.plugins import NoSuchPlugin
from envserver.sandboxes._fork.shelter import interpreter
from envserver.sandboxes.base import Sandbox, SandboxError, backends, load_backend, open_sandbox

__all__ = ["measure"]

SOURCE = "print(1)"
THINK_S = 0.03
"""Pause of a caller that does something else between two programs, in which the next one is made ready."""


def measure(quick: bool) -> list[Table]:
    """Start-up of `print(1)` and of `echo`, with and without a pause, opening, and programs a second from all cores."""
    repeats = 20 if quick else 100
    bare = [interpreter(), "-I", "-S", "-c", SOURCE]
    rows = [_row("a bare interpreter", lambda: _checked(subprocess.run(bare, capture_output=True).stdout), repeats)]
    left_out = []
    for name in backends():
        try:
            rows += _rows(name, repeats)
        except (SandboxError, NoSuchPlugin) as error:
            left_out.append(f"Left out: {error}.")
    return [
        Table(
            "Sandboxes",
            f"`{SOURCE}` from the call to its result, ms over {repeats} runs: back to back, and with a pause of "
            f"{THINK_S * 1000:.0f} ms, in which the next run is made ready. Opened: a fresh one, after such a pause. "
            f"Programs a second: {len(cores())} sandboxes at once, back to back. {' '.join(left_out)}".strip(),
            ("sandbox", "p50", "p99", "p50 after a pause", "p99 after a pause", "opened p50", "programs/s"),
            rows,
        )
    ]


def _rows(name: str, repeats: int) -> list[tuple[Cell, ...]]:
    allow = load_backend(name).unsafe

    def opened() -> Sandbox:
        return open_sandbox(name, allow_unsafe=allow)

    with opened() as sandbox:
        python = _row(f"`{name}`", lambda: _checked(sandbox.run(python=SOURCE).stdout), repeats)
        echo = _row(f"`{name}`, `echo`", lambda: _checked(sandbox.run(["echo", "1"]).stdout), repeats)
    opening = []
    for _ in range(max(5, repeats // 10)):
        time.sleep(THINK_S)
        began = time.perf_counter()
        sandbox = opened()
        opening.append(1000 * (time.perf_counter() - began))
        sandbox.close()

    def many(count: int) -> None:
        with opened() as sandbox:
            for _ in range(count):
                _checked(sandbox.run(python=SOURCE).stdout)

    each = repeats // 2
    began = time.perf_counter()
    with ThreadPoolExecutor(len(cores())) as threads:
        list(threads.map(many, [each] * len(cores())))
    rate = each * len(cores()) / (time.perf_counter() - began)
    return [(*python[:5], median(opening), rate), echo]


def _row(name: str, call: Callable[[], None], repeats: int) -> tuple[Cell, ...]:
    call()
    times: list[list[float]] = []
    for think_s in (0.0, THINK_S):
        taken = []
        for _ in range(repeats):
            time.sleep(think_s)
            began = time.perf_counter()
            call()
            taken.append(1000 * (time.perf_counter() - began))
        times.append(taken)
    shown = [figure for taken in times for figure in (median(taken), percentile(taken, 0.99))]
    return (name, *shown, None, None)


def _checked(output: bytes) -> None:
    """Raises RuntimeError where a program did not run, whose time would be no measure."""
    if output != b"1\n":
        raise RuntimeError(f"a program that prints 1 printed {output!r:.100}")
