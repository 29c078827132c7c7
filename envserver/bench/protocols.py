"""The null world over every wire, beside the native one on the same transport, and beside OpenEnv's own server."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from statistics import median
from typing import Any

from envserver.bench.load import Measured
from envserver.bench.report import Table, cores, cpu_s, pin, ratio
from envserver.bench.wires import WIRES, Asked, drive
from envserver.envs.null import SEEN
from envserver.launch import launch

__all__ = ["measure"]

NAMES = {
    "native": "native",
    "openenv": "OpenEnv",
    "native_http": "native",
    "openenv_http": "OpenEnv",
    "mcp": "MCP",
    "agentgym": "AgentGym",
    "nemo": "NeMo Gym",
}
"""Our wires, each after the native one of its transport."""
SESSIONS = (8, 64, 256)
START_S = 120.0


def measure(quick: bool) -> list[Table]:
    """Single steps over each wire; and OpenEnv's server, where a virtual environment has it."""
    repeats, seconds = (2, 0.5) if quick else (3, 1.2)
    levels = (64,) if quick else SESSIONS
    here = cores()
    client_core = here[-1] if len(here) > 1 else None
    python = Path(os.environ.get("TURNHALLE_VENVS", ".venvs")) / "openenv" / "bin" / "python"
    # A session of a wire without a farewell ends with its lease.
    limits: dict[str, Any] = {
        "max_steps": 10**9,
        "session_limit_bytes": 1 << 40,
        "max_sessions": 1 << 16,
        "lease_s": 20.0,
    }
    with (
        launch(["null"], workers=1, **limits) as ours,
        openenv(python) if python.exists() else nullcontext(None) as theirs,
    ):
        pids = dict.fromkeys(NAMES, ours.pid)
        ports = {wire: int(ours.url.rpartition(":")[2]) for wire in NAMES}
        if theirs is not None:
            ports["openenv_peer"], pids["openenv_peer"] = theirs
        if client_core is not None:
            for pid in set(pids.values()):
                pin(pid, here[0])
        found: dict[tuple[str, int], list[tuple[Measured, float]]] = {}
        for sessions in levels:
            for _ in range(repeats):
                for wire, pid in pids.items():
                    before_s = cpu_s(pid)
                    measured = drive(Asked(wire, ports[wire], sessions, seconds, client_core))
                    cost_us = 1e6 * (cpu_s(pid) - before_s) / max(1, measured.total)
                    found.setdefault((wire, sessions), []).append((measured, cost_us))

    def speeds(wire: str, sessions: int) -> list[float]:
        return [measured.steps_s for measured, _ in found[wire, sessions]]

    def row(wire: str, name: str, beside: str) -> tuple[str | float, ...]:
        return (
            name,
            WIRES[wire].transport,
            *(median(speeds(wire, sessions)) for sessions in levels),
            ratio(speeds(wire, 64), speeds(beside, 64)),
            median(cost for _, cost in found[wire, 64]),
            median(measured.p50_ms for measured, _ in found[wire, 64]),
        )

    where = "server on one core, load on another" if client_core is not None else "server and load on one core"
    said = (
        f"The null world's 785-byte observation with 20 choices, one server process, one connection a session, each "
        f"sending its next step when the last is answered; {where}. CPU is the server's, opening included. Medians of "
        f"{repeats} alternated runs of {seconds:g} s."
    )
    native = {"WebSocket": "native", "HTTP": "native_http"}
    tables = [
        Table(
            "Protocols: single steps",
            f"{said} The ratio is to the native wire on the same transport at 64 sessions.",
            (
                "wire",
                "transport",
                *(f"{at}, steps/s" for at in levels),
                "ratio",
                "CPU µs a step at 64",
                "p50 at 64, ms",
            ),
            [row(wire, name, native[WIRES[wire].transport]) for wire, name in NAMES.items()],
        )
    ]
    if theirs is not None:
        rows = [
            (
                sessions,
                median(speeds("openenv_peer", sessions)),
                median(speeds("openenv", sessions)),
                ratio(speeds("openenv", sessions), speeds("openenv_peer", sessions)),
                *(median(cost for _, cost in found[wire, sessions]) for wire in ("openenv_peer", "openenv")),
            )
            for sessions in levels
        ]
        best = max(row[1] for row in rows)
        tables.append(
            Table(
                "Protocols: OpenEnv's own server",
                f"The same frames, in the same run, to OpenEnv's server with the same world in it, under uvicorn with "
                f"uvloop, one process, without compression. Its best is {best:,.0f} steps/s.",
                (
                    "sessions",
                    "theirs, steps/s",
                    "ours, steps/s",
                    "ratio",
                    "theirs, CPU µs a step",
                    "ours, CPU µs a step",
                ),
                rows,
            )
        )
    return tables


@contextmanager
def openenv(python: Path) -> Iterator[tuple[int, int]]:
    """OpenEnv's server: its port and its process id."""
    with tempfile.TemporaryDirectory(prefix="openenv-") as directory, socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
        reply = Path(directory) / "reply"
        reply.write_text(SEEN.model_dump_json())
        script = Path(__file__).with_name("openenv_peer.py")
        free.close()
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen([python, script, str(port), reply], env=environ, cwd=directory)
        try:
            give_up = time.monotonic() + START_S
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > give_up:
                        raise RuntimeError("OpenEnv's server did not start; its message is above") from None
                    time.sleep(0.1)
            yield port, process.pid
        finally:
            process.kill()
            process.wait()
