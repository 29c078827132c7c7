"""The warm process: it has imported torch, knows nothing of any task, and forks a referee with its stages on demand.

Referees are forked beforehand, each with three stages that are locked in and wait; none has read a job by then, so no
stage can find one in its memory. A message `open` on the control socket is answered with the descriptor of a referee's
socket. Everything here ends with the worker.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import json
import linecache
import os
import select
import signal
import socket
import sys
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

from envserver.sandboxes._fork import linux
from envserver.sandboxes._fork.cgroup import Cgroups
from envserver.sandboxes._fork.rules import Rules
from envserver.sandboxes._fork.spaces import Spaces
from envserver.sandboxes._fork.walls import Told, Walls
from envserver.sandboxes._stage.stage import Place, Stage

__all__ = ["main"]

STAGES = 3
INSIDE = "/packages/site"
FIRST_USER = 1 << 29
SLOTS = 192


def main(control: socket.socket, parent: int) -> None:
    """Serve until the worker is gone."""
    asked = json.load(sys.stdin.buffer)
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        # Not by the kernel's signal: that comes when the thread ends that started this.
        watched = os.pidfd_open(parent)
    except OSError:
        return
    if os.getppid() != parent:
        return
    try:
        for name in asked["preload"]:
            importlib.import_module(name)
        modules = importlib.import_module(asked["referee"]), importlib.import_module(asked["player"])
    except ImportError as error:
        control.send(json.dumps({"failed": str(error)}).encode())
        return
    _follow(asked["told"]["packages"]["site"])
    _remember([name for name in asked["preload"] if name != "torch"])
    warm = Warm(control, watched, Told(**asked["told"]), modules, asked)
    try:
        warm.serve()
    finally:
        warm.close()


def _follow(site: str) -> None:
    """Have packages find their parts where stages see them, too."""
    sys.path.append(INSIDE)
    for module in list(sys.modules.values()):
        places = getattr(module, "__path__", None)
        if isinstance(places, list):
            places += [INSIDE + place.removeprefix(site) for place in places if place.startswith(site)]


def _remember(packages: list[str]) -> None:
    """Keep the source of loaded modules, which compilers of Python read, where stages do not see its file."""
    for name, module in list(sys.modules.items()):
        path = getattr(module, "__file__", None) or ""
        if path.endswith(".py") and name.partition(".")[0] in packages:
            text = Path(path).read_text(encoding="utf-8")
            linecache.cache[path] = (len(text), None, text.splitlines(keepends=True), path)


class Warm:
    """Referees that wait, and slots that are taken."""

    def __init__(
        self,
        control: socket.socket,
        parent: int,
        told: Told,
        modules: tuple[ModuleType, ModuleType],
        asked: dict[str, Any],
    ) -> None:
        self.control, self.parent, self.asked = control, parent, asked
        self.referee, self.player = modules
        self.walls: Walls = Rules(told) if told.walls == "landlock" else Spaces(told)
        self.slots = list(reversed(range(SLOTS)))
        self.leaving: list[int] = []
        self.referees: dict[int, tuple[int, list[int]]] = {}
        """Descriptor of a referee's process -> its number and slots."""
        self.waiting: list[socket.socket] = []
        self.failure = ""
        self.groups: Cgroups | None = None
        with contextlib.suppress(OSError):
            self.groups = Cgroups()
        try:
            self.walls.around_all()
        except OSError as error:
            self.failure = str(error)
        sys.path_importer_cache.clear()
        gc.collect()
        gc.freeze()

    def serve(self) -> None:
        """Hand out referees until the worker goes."""
        self.control.send(json.dumps({"failed": self.failure} if self.failure else {"ok": True}).encode())
        while not self.failure:
            while len(self.waiting) < self.asked["spare"] and len(self.slots) >= STAGES:
                self.waiting.append(self.fork())
            wait_s = 0.05 if self.leaving else None
            readable, _, _ = select.select([self.control.fileno(), self.parent, *self.referees], [], [], wait_s)
            if self.parent in readable:
                return
            for descriptor in readable:
                if descriptor in self.referees:
                    self.bury(descriptor)
            self.leaving = [slot for slot in self.leaving if not self.cleared(slot)]
            if self.control.fileno() in readable:
                if not self.control.recv(16):
                    return
                self.hand_out()

    def hand_out(self) -> None:
        """Answer with a referee's socket."""
        if not self.waiting and len(self.slots) < STAGES:
            self.control.send(b'{"failed": "all stages of this process are taken; evaluate fewer at once"}')
            return
        with self.waiting.pop(0) if self.waiting else self.fork() as link:
            socket.send_fds(self.control, [b'{"ok": true}'], [link.fileno()])

    def fork(self) -> socket.socket:
        """A referee that waits for its job."""
        slots = [self.slots.pop() for _ in range(STAGES)]
        for slot in slots:
            if self.groups:
                self.groups.make(slot)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        pid = os.fork()
        if pid == 0:
            self.judge(theirs, ours, slots)
        theirs.close()
        self.referees[os.pidfd_open(pid)] = pid, slots
        return ours

    def judge(self, link: socket.socket, other: socket.socket, slots: list[int]) -> NoReturn:
        """A referee's life: first its stages, then its job."""
        try:
            linux.die_with_parent()
            for one in (self.control, other, *self.waiting):
                one.close()
            for descriptor in (self.parent, *self.referees):
                os.close(descriptor)
            root = os.geteuid() == 0
            stages = [
                Stage(
                    Place(
                        self.walls,
                        slot,
                        FIRST_USER + os.getppid() * SLOTS + slot if root else None,
                        self.groups,
                        self.asked["memory_bytes"],
                    ),
                    self.player.play,
                    self.asked["alone"],
                )
                for slot in slots
            ]
            try:
                self.referee.judge(link, stages)
            finally:
                for stage in stages:
                    stage.kill()
        except (BrokenPipeError, ConnectionResetError):
            pass  # whoever asked is gone
        except BaseException:
            sys.excepthook(*sys.exc_info())
        finally:
            sys.stderr.flush()
            os._exit(0)

    def bury(self, descriptor: int) -> None:
        """A referee has ended."""
        pid, slots = self.referees.pop(descriptor)
        os.close(descriptor)
        os.waitpid(pid, 0)
        for slot in slots:
            self.walls.remove(slot)
        self.leaving += slots

    def cleared(self, slot: int) -> bool:
        """Free a slot whose groups are gone."""
        if self.groups and not self.groups.remove(slot):
            return False
        self.slots.append(slot)
        return True

    def close(self) -> None:
        """End every referee and take away what was made for them."""
        for pid, _ in self.referees.values():
            os.kill(pid, signal.SIGKILL)
        for descriptor in list(self.referees):
            self.bury(descriptor)
        if self.groups:
            self.groups.close(self.leaving)
        self.walls.remove_all()
