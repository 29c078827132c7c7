"""Every attack, what it tries, and how it is judged from outside."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from envserver.sandboxes._abuses import files, memory, network, processes, secrets
from envserver.sandboxes.base import BadInput, Limits, NoSuchFile, Ran, Sandbox

__all__ = ["ABUSES", "LIMITS", "Abuse"]

LIMITS = Limits(
    wall_s=8.0,
    cpu_s=6.0,
    memory_bytes=128 << 20,
    output_bytes=1 << 18,
    disk_bytes=16 << 20,
    files=256,
    processes=24,
)
SHORT = replace(LIMITS, wall_s=1.0)
BURN = replace(LIMITS, wall_s=20.0, cpu_s=1.0)
LATE_S = 2.0
"""What a loaded machine gets beyond a limit before the limit counts as not kept."""

Program = Callable[[dict[str, Any]], None]
Judge = Callable[[Sandbox, Ran, dict[str, Any]], str]
"""How the program got out, as seen from outside; empty where it did not."""


@dataclass(frozen=True)
class Abuse:
    """One attack."""

    program: Program
    says: str
    judge: Judge | None = None
    limits: Limits = LIMITS
    silent: bool = False
    """Whether it may end without having said that it is through: killed, or endless by nature."""

    @property
    def name(self) -> str:
        """Its name in the table."""
        return self.program.__name__.replace("_", " ")


def _in_time(sandbox: Sandbox, ran: Ran, bait: dict[str, Any]) -> str:
    if not (ran.timed_out or ran.cut):
        return f"it was not ended: {ran.code=}, {ran.signal=}"
    return f"it ran {ran.wall_s:.1f} s" if ran.wall_s > SHORT.wall_s + LATE_S else ""


def _no_daemon(sandbox: Sandbox, ran: Ran, bait: dict[str, Any]) -> str:
    time.sleep(1)
    try:
        return "it lives on: " + sandbox.read("daemon").decode()
    except NoSuchFile:
        return ""


def _at_once(sandbox: Sandbox, ran: Ran, bait: dict[str, Any]) -> str:
    return f"its pipe was waited for: {ran.wall_s:.1f} s" if ran.wall_s > LATE_S else ""


def _cut(sandbox: Sandbox, ran: Ran, bait: dict[str, Any]) -> str:
    got = len(ran.stdout) + len(ran.stderr)
    if not ran.cut or got > LIMITS.output_bytes:
        return f"{got} bytes came out"
    return f"it went on for {ran.wall_s:.1f} s" if ran.wall_s > LATE_S else ""


def _nothing_left(sandbox: Sandbox, ran: Ran, bait: dict[str, Any]) -> str:
    left = Path(bait["directory"], "left-by-abuse")
    return f"{left} is there" if left.exists() else ""


def _links_refused(sandbox: Sandbox, ran: Ran, bait: dict[str, Any]) -> str:
    for path in ("link", "directory/answers", f"root{bait['secret_file']}"):
        try:
            return f"{path} was read from outside: {sandbox.read(path)[:8]!r}"
        except (BadInput, NoSuchFile):
            pass
    for path in ("directory/left-by-abuse", f"root{bait['directory']}/left-by-abuse"):
        try:
            sandbox.write(path, b"x")
        except BadInput:
            continue
        return f"{path} was written from outside"
    sandbox.write("link", b"mine")  # the name is the sandbox's, what it led to is not
    return "" if Path(bait["secret_file"]).read_text() == bait["secret"][::-1] else "the host's file was changed"


def _odd_refused(sandbox: Sandbox, ran: Ran, bait: dict[str, Any]) -> str:
    began = time.monotonic()
    for path in ("pipe", "taken", "socket", "huge", "closed/file"):
        try:
            return f"{path} was read: {len(sandbox.read(path))} bytes"
        except (BadInput, NoSuchFile):
            pass
    for path in ("taken", "huge/file"):
        try:
            sandbox.write(path, b"x")
        except BadInput:
            continue
        return f"{path} was written"
    return "it made the reader wait" if time.monotonic() - began > LATE_S else ""


ABUSES: tuple[Abuse, ...] = (
    Abuse(processes.fork_bomb, "forks more processes than it may", silent=True),
    Abuse(processes.thread_bomb, "starts more threads than it may", silent=True),
    Abuse(processes.endless, "never ends", _in_time, SHORT, silent=True),
    Abuse(processes.deaf, "ignores every signal and sleeps", _in_time, SHORT, silent=True),
    Abuse(processes.many_burn, "burns CPU time in four processes", limits=BURN, silent=True),
    Abuse(processes.daemon, "leaves a daemon behind", _no_daemon),
    Abuse(processes.held_pipe, "leaves a process that holds its output open", _at_once),
    Abuse(processes.signal_others, "signals a process of the host"),
    Abuse(processes.see_processes, "looks for the host's processes"),
    Abuse(processes.trace_parent, "traces its parent, opens memory of others"),
    Abuse(processes.new_namespace, "makes namespaces of its own"),
    Abuse(processes.refused_calls, "calls bpf, io_uring, keyctl, perf, userfaultfd"),
    Abuse(processes.root_again, "becomes root"),
    Abuse(memory.one_allocates, "takes three times its memory", silent=True),
    Abuse(memory.many_allocate, "takes it in four processes", silent=True),
    Abuse(memory.shared_memory, "takes it as shared memory", silent=True),
    Abuse(memory.big_file, "fills the disk with one file", silent=True),
    Abuse(memory.many_files, "fills the disk with many", silent=True),
    Abuse(memory.many_empty_files, "makes files without end", silent=True),
    Abuse(memory.zip_bomb, "unpacks a zip bomb", silent=True),
    Abuse(memory.flood, "writes output without end", _cut, silent=True),
    Abuse(memory.stubborn_flood, "goes on writing when the pipe is closed", _cut, silent=True),
    Abuse(files.read_host, "reads files of the host"),
    Abuse(files.write_host, "writes files of the host", _nothing_left),
    Abuse(files.read_project, "reads this project, where answers are"),
    Abuse(files.links_out, "lays symbolic links out of its directory", _links_refused),
    Abuse(files.odd_files, "lays pipes, sockets and a huge file for a reader", _odd_refused),
    Abuse(secrets.environments, "looks for secrets in environments"),
    Abuse(secrets.left_in_memory, "looks for what an earlier run left in memory"),
    Abuse(secrets.open_descriptors, "looks for open descriptors"),
    Abuse(network.host_loopback, "connects to the host's loopback"),
    Abuse(network.outside, "looks for a way out of the machine"),
    Abuse(network.abstract_socket, "connects to an abstract socket of the host"),
    Abuse(network.odd_sockets, "opens raw and kernel sockets"),
)
"""In the order in which they are tried."""
