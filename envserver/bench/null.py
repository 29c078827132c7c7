"""The null world: what the server costs a step beyond the least any ASGI server costs."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from statistics import median
from typing import NamedTuple

from envserver.bench.load import How, Load, drive
from envserver.bench.meter import Measured
from envserver.bench.report import Table, cores, cpu_s, pin, ratio
from envserver.launch import launch
from envserver.schema import StepResult

__all__ = ["measure"]

SESSIONS = (1, 8, 64, 256, 1024)
BATCH = 64


class Run(NamedTuple):
    """A load, and what the server spent on it."""

    measured: Measured
    cpu_us: float
    """CPU time of the server for each step."""


def measure(quick: bool) -> list[Table]:
    """Single steps against the floor, and steps in frames of 64 against steps one at a time."""
    repeats, seconds = (2, 0.5) if quick else (3, 1.2)
    levels = (8, 64, 1024) if quick else SESSIONS
    here = cores()
    server_core, client_core = here[0], here[-1] if len(here) > 1 else None
    single, batched = [], []
    with (
        launch(["null"], workers=1, max_steps=10**9, session_limit_bytes=1 << 40) as ours,
        floor() as (floor_port, floor_pid),
    ):
        if client_core is not None:
            pin(ours.pid, server_core)
            pin(floor_pid, server_core)
        port = int(ours.url.rpartition(":")[2])

        def ours_at(sessions: int, batch: int = 1, how: How = "frame") -> Run:
            return _run(ours.pid, Load(port, sessions, seconds, opens=True, batch=batch, how=how, core=client_core))

        def floor_at(sessions: int) -> Run:
            return _run(floor_pid, Load(floor_port, sessions, seconds, opens=False, core=client_core))

        for sessions in levels:
            mine, theirs = [], []
            for _ in range(repeats):
                theirs.append(floor_at(sessions))
                mine.append(ours_at(sessions))
            single.append(
                (
                    sessions,
                    median(run.measured.steps_s for run in theirs),
                    median(run.measured.steps_s for run in mine),
                    ratio([run.measured.steps_s for run in mine], [run.measured.steps_s for run in theirs]),
                    median(run.cpu_us for run in theirs),
                    median(run.cpu_us for run in mine),
                    median(run.measured.p50_ms for run in theirs),
                    median(run.measured.p50_ms for run in mine),
                    median(run.measured.p99_ms for run in theirs),
                    median(run.measured.p99_ms for run in mine),
                )
            )
        for callers in (1,) if quick else (1, 16):
            runs: dict[How, list[Run]] = {"turns": [], "flight": [], "frame": []}
            for _ in range(repeats):
                for how, found in runs.items():
                    found.append(ours_at(callers * BATCH, BATCH, how))
            speeds = {how: [run.measured.steps_s for run in found] for how, found in runs.items()}
            batched.append(
                (
                    callers,
                    *(median(speeds[how]) for how in runs),
                    ratio(speeds["frame"], speeds["turns"]),
                    ratio(speeds["frame"], speeds["flight"]),
                    *(median(run.cpu_us for run in found) for found in runs.values()),
                )
            )
    where = "server on one core, load on another" if client_core is not None else "server and load on one core"
    return [
        Table(
            "Null world: single steps",
            f"785-byte observation with 20 choices, one server process, one WebSocket a session, each sending its next "
            f"step when the last is answered; {where}. The floor is a bare ASGI WebSocket endpoint that answers "
            f"the same bytes unread. CPU is the server's, opening included. Medians of {repeats} alternated runs of "
            f"{seconds:g} s.",
            (
                "sessions",
                "floor, steps/s",
                "ours, steps/s",
                "ratio",
                "floor, CPU µs a step",
                "ours, CPU µs a step",
                "floor p50, ms",
                "p50, ms",
                "floor p99, ms",
                "p99, ms",
            ),
            single,
        ),
        Table(
            "Null world: steps in batches",
            f"The same, with {BATCH} sessions a caller, all of them on its one socket. In turns: the caller steps one "
            f"session after another, each when the last is answered. In flight: every session has a step of its own in "
            f"flight. A frame: the caller sends the {BATCH} steps in one frame and waits for the answers. "
            f"The three callers splice their requests and count their answers alike. Medians of {repeats} alternated "
            f"runs of {seconds:g} s.",
            (
                "callers",
                "in turns, steps/s",
                "in flight, steps/s",
                f"{BATCH} a frame, steps/s",
                "frame to turns",
                "frame to flight",
                "in turns, CPU µs a step",
                "in flight, CPU µs a step",
                "frame, CPU µs a step",
            ),
            batched,
        ),
    ]


def _run(pid: int, load: Load) -> Run:
    before_s = cpu_s(pid)
    measured = drive(load)
    return Run(measured, 1e6 * (cpu_s(pid) - before_s) / max(1, measured.total))


@contextmanager
def floor(*, relayed: bool = False) -> Iterator[tuple[int, int]]:
    """A running floor: its port and its process id; `relayed` through another process."""
    from envserver.envs.null import SEEN

    with tempfile.TemporaryDirectory(prefix="floor-") as directory:
        port_file, reply = Path(directory) / "port", Path(directory) / "reply"
        reply.write_bytes(answer(StepResult(observation=SEEN)))
        command = [sys.executable, "-m", "envserver.bench.floor", str(port_file), str(reply)]
        process = subprocess.Popen([*command, "relayed"] if relayed else command)
        try:
            for _ in count():
                if port_file.exists():
                    break
                if process.poll() is not None:
                    raise RuntimeError("the floor did not start; its message is above")
                time.sleep(0.02)
            yield int(port_file.read_text()), process.pid
        finally:
            process.kill()
            process.wait()


def answer(result: StepResult) -> bytes:
    """A result as our server sends it over the WebSocket."""
    return b'{"id":1000,"ok":%b}' % result.model_dump_json().encode()
