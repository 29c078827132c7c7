"""The null world over every wire, beside the native one on the same transport, and beside the peers' own servers."""

from __future__ import annotations

from contextlib import ExitStack
from statistics import median
from typing import Any

from envserver.bench.meter import Measured
from envserver.bench.peers import PEERS, installed, served
from envserver.bench.report import Cell, Table, cores, cpu_s, pin, ratio
from envserver.bench.wires import WIRES, Asked, drive
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
    "ors": "ORS",
}
"""Our wires, each after the native one of its transport."""
SESSIONS = (8, 64, 256)


def measure(quick: bool) -> list[Table]:
    """Single steps over each wire; and the peers' servers, where virtual environments have them."""
    repeats, seconds = (2, 0.5) if quick else (3, 1.2)
    levels = (64,) if quick else SESSIONS
    here = cores()
    client_core = here[-1] if len(here) > 1 else None
    # A session of a wire without a farewell ends with its lease.
    limits: dict[str, Any] = {
        "max_steps": 10**9,
        "session_limit_bytes": 1 << 40,
        "max_sessions": 1 << 16,
        "lease_s": 20.0,
    }
    beside = [peer for peer in PEERS if installed(peer)]
    with ExitStack() as stack:
        ours = stack.enter_context(launch(["null"], workers=1, **limits))
        pids = dict.fromkeys(NAMES, ours.pid)
        ports = {wire: int(ours.url.rpartition(":")[2]) for wire in NAMES}
        for peer in beside:
            ports[f"{peer}_peer"], pids[f"{peer}_peer"] = stack.enter_context(served(peer))
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
    rows: list[tuple[Cell, ...]] = [
        (
            PEERS[peer],
            sessions,
            median(speeds(f"{peer}_peer", sessions)),
            median(speeds(peer, sessions)),
            ratio(speeds(peer, sessions), speeds(f"{peer}_peer", sessions)),
            max(median(speeds(f"{peer}_peer", at)) for at in levels),
            *(median(cost for _, cost in found[wire, sessions]) for wire in (f"{peer}_peer", peer)),
        )
        for peer in beside
        for sessions in levels
    ]
    if rows:
        tables.append(
            Table(
                "Protocols: their own servers",
                "The same requests, in the same run, to each project's own server with the same world in it, one "
                "process, under uvicorn with uvloop, without compression, access log or a line for each call.",
                (
                    "server",
                    "sessions",
                    "theirs, steps/s",
                    "ours, steps/s",
                    "ratio",
                    "their best, steps/s",
                    "theirs, CPU µs a step",
                    "ours, CPU µs a step",
                ),
                rows,
            )
        )
    return tables
