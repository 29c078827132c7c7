"""The keeper of one sandbox: it starts runs, ends them in time, and opens the sandbox's files for the worker.

Programs, input, output and files never pass through it, but go as descriptors between the worker and the run: the next
run, which is forked from here, finds nothing of the last one. Messages are JSON over a SOCK_SEQPACKET socket:

`{"do": "run", "wall_s", "cpu_s", "memory_bytes", "disk_bytes", "files", "processes"}` with the descriptors of the job,
the input, the output and the errors; `{"do": "kill"}` while it runs; the answer is `{"ran": {...}}`.
`{"do": "read", "path"}` and `{"do": "write", "path", "executable"}` answer with a descriptor; `{"do": "place"}` or
`{"do": "discard"}` ends a write. `{"failed": sentence, "kind"}` answers what cannot be.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import select
import signal
import socket
import time
from collections.abc import Callable
from typing import Any, NoReturn

from envserver.sandboxes._fork import linux, program, tree
from envserver.sandboxes._fork.cgroup import Cgroups, Group
from envserver.sandboxes._fork.family import Family
from envserver.sandboxes._fork.walls import Walls

__all__ = ["keep"]

TICK_S = 0.05
"""How often it is looked at what nothing but looking bounds."""
OURS = 2
"""Processes of a sandbox that are not the program's: this one, and the run's that waits."""
MESSAGE_BYTES = 1 << 16


def keep(link: socket.socket, walls: Walls, slot: int, user: int | None, groups: Cgroups | None) -> NoReturn:
    """The life of a keeper: put the walls up, wait for a sandbox, serve it until its socket closes."""
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("-500")
    group = groups.join(slot) if groups else None
    failure, kept = "", None
    try:
        directory = walls.around_one(slot, user)
        linux.die_with_parent()
        kept = Keeper(walls, directory, group)
    except OSError as error:
        failure = str(error)
    descriptors: list[int] = []
    with contextlib.suppress(OSError):
        _, descriptors, _, _ = socket.recv_fds(link, 16, 1)
    link.close()
    if descriptors:
        owner = socket.socket(fileno=descriptors[0])
        if kept is None:
            owner.send(json.dumps({"failed": failure, "kind": "Unavailable"}).encode())
        else:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                kept.serve(owner)
    if kept is not None:
        kept.close()
    os._exit(0)


class Unlocked(Exception):
    """Raised where a run could not be locked in; no program has begun."""


class Keeper:
    """One sandbox's working directory, and the run that is ready for its next program."""

    def __init__(self, walls: Walls, directory: str, group: Group | None) -> None:
        self.walls, self.directory, self.group = walls, directory, group
        watched = "each process; all together are looked at twenty times a second"
        together = "all processes together" if group else watched
        self.enforced = walls.enforced | {
            "memory": together,
            "cpu": together,
            "processes": "all together" if group or walls.own_user else "looked at twenty times a second",
            "time": "by the keeper",
            "output": "by the worker",
        }
        self.placing: tree.Placing | None = None
        self.ready: tuple[int, socket.socket] | None = None
        self.prepare()

    def prepare(self) -> None:
        """Fork the next run and lock it in."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = self.walls.fork_run()
        if pid == 0:
            try:
                program.stand(_alone(theirs), self.walls, self.directory)
            finally:
                os._exit(1)  # whatever went wrong, there is one keeper
        theirs.close()
        self.ready = pid, ours

    def serve(self, owner: socket.socket) -> None:
        """Answer until the owner is gone."""
        owner.send(json.dumps({"ok": True, "enforced": self.enforced}).encode())
        while True:
            data, descriptors, _, _ = socket.recv_fds(owner, MESSAGE_BYTES, 4)
            if not data:
                return
            asked, file = json.loads(data), -1
            answer: dict[str, Any] = {"ok": True}
            try:
                match asked["do"]:
                    case "run":
                        answer = {"ran": self.run(owner, asked, descriptors)}
                    case "read":
                        file = tree.open_file(self.directory, tree.split(asked["path"]))
                    case "write":
                        file = self.begin_write(asked)
                    case "place" if self.placing:
                        self.placing.place()
                    case "discard" if self.placing:
                        self.placing.discard()
                    case "kill":
                        continue  # the run had ended before it was heard
            except (tree.BadPath, tree.NoFile, Unlocked, OSError) as error:
                answer = {"failed": str(error), "kind": type(error).__name__}
            message = json.dumps(answer).encode()
            if file >= 0:
                socket.send_fds(owner, [message], [file])
                os.close(file)
            else:
                owner.send(message)
            for descriptor in descriptors:
                os.close(descriptor)
            if self.ready is None:
                self.prepare()

    def begin_write(self, asked: dict[str, Any]) -> int:
        """The descriptor of a file that has no name yet."""
        if self.placing is not None:
            self.placing.discard()
        self.placing = tree.Placing(self.directory, tree.split(asked["path"]), asked["executable"])
        return self.placing.file

    def run(self, owner: socket.socket, asked: dict[str, Any], descriptors: list[int]) -> dict[str, Any]:
        """One program, from its start to the end of all its processes."""
        self.walls.resize(asked["disk_bytes"], asked["files"])
        if self.ready is None:
            self.prepare()
        assert self.ready is not None
        (pid, link), self.ready = self.ready, None
        killed_before, cpu_before = 0, 0.0
        if self.group:
            self.group.limit(asked["memory_bytes"], asked["processes"] + OURS)
            killed_before, cpu_before = self.group.killed(), self.group.cpu_s()
        began = time.monotonic()
        told = json.dumps({"resources": self.resources(asked)}).encode()
        status, why = None, ""
        try:
            # It may have been ended already, for want of memory; then there is no word from it below.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                socket.send_fds(link, [told], descriptors)
            excess = self.excess(pid, asked, cpu_before)
            status, why = self.watch(owner, link, began + asked["wall_s"], excess)
        finally:
            wall_s = time.monotonic() - began
            link.close()
            cpu_s = self.walls.end_run(pid)
        ended = -signal.SIGKILL if status is None else os.waitstatus_to_exitcode(status)
        if why == "disk" or self.walls.overrun():
            ended = -signal.SIGXFSZ
        if self.group:
            cpu_s = self.group.cpu_s() - cpu_before
            if self.group.killed() > killed_before:
                why = why or "memory"
        return {
            "code": ended if ended >= 0 else None,
            "signal": -ended if ended < 0 else None,
            "timed_out": why == "time" or ended == -signal.SIGXCPU,
            "out_of_memory": why == "memory",
            "wall_s": wall_s,
            "cpu_s": cpu_s,
        }

    def excess(self, pid: int, asked: dict[str, Any], cpu_before_s: float) -> Callable[[], str]:
        """What a run has too much of, when asked: what nothing bounds but looking."""
        family = None if self.group else Family(pid)

        def found() -> str:
            if self.walls.overrun():
                return "disk"
            if self.group:
                return "time" if self.group.cpu_s() - cpu_before_s > asked["cpu_s"] else ""
            assert family is not None
            used = family.used()
            if used.cpu_s > asked["cpu_s"]:
                return "time"
            if used.memory_bytes > asked["memory_bytes"]:
                return "memory"
            return "processes" if used.processes > asked["processes"] + OURS else ""

        return found

    def watch(
        self, owner: socket.socket, link: socket.socket, deadline_s: float, excess: Callable[[], str]
    ) -> tuple[int | None, str]:
        """Wait for the program, its time or the owner's word: how it ended, if by itself, and for what it did not."""
        poll = select.poll()
        poll.register(link, select.POLLIN)
        poll.register(owner, select.POLLIN)
        while True:
            left_s = deadline_s - time.monotonic()
            happened = dict(poll.poll(math.ceil(1000 * max(0.0, min(left_s, TICK_S)))))
            if link.fileno() in happened:
                told = json.loads(link.recv(MESSAGE_BYTES) or b"{}")
                if "failed" in told:
                    raise Unlocked(told["failed"])
                return told.get("status"), ""
            if owner.fileno() in happened:
                owner.recv(MESSAGE_BYTES)
                return None, "owner"
            why = "time" if left_s <= 0 else excess()
            if why:
                return None, why

    def resources(self, asked: dict[str, Any]) -> dict[str, tuple[int, int]]:
        """Resource limits of the program, soft and hard."""
        cpu_s = math.ceil(asked["cpu_s"])
        limits = {
            "RLIMIT_CPU": (cpu_s, cpu_s + 1),
            "RLIMIT_FSIZE": (asked["disk_bytes"],) * 2,
            "RLIMIT_NOFILE": (program.OPEN_FILES,) * 2,
        }
        if self.walls.own_user:
            limits["RLIMIT_NPROC"] = (asked["processes"] + OURS,) * 2
        if self.group is None:
            limits["RLIMIT_AS"] = (asked["memory_bytes"],) * 2
        return limits

    def close(self) -> None:
        """End the run that waits."""
        if self.ready is not None:
            pid, link = self.ready
            link.close()
            self.walls.end_run(pid)


def _alone(link: socket.socket) -> socket.socket:
    """The same socket, with every other descriptor but the three closed."""
    number = os.dup2(link.detach(), 3)
    linux.close_from(number + 1)
    return socket.socket(fileno=number)
