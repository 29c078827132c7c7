"""The zygote: a fresh process without secrets that forks keepers, ends with the worker that started it, and cleans up.

It has read nothing but `Told`: no environment, argument or memory of the worker is in it, so none is in what it forks.
Every message on its control socket is `open` with the keeper's end of a socket.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time

from envserver.sandboxes._fork.cgroup import Cgroups
from envserver.sandboxes._fork.keeper import keep
from envserver.sandboxes._fork.rules import Rules
from envserver.sandboxes._fork.spaces import Spaces
from envserver.sandboxes._fork.walls import Told, Walls

__all__ = ["main"]

FIRST_USER = 1 << 28
SLOTS = 512
"""Sandboxes of one worker at once; also how many users are set aside for each process number."""
LEAVING_S = 2.0
"""What the kernel gets to let go of control groups."""


def main(control: socket.socket, parent: int) -> None:
    """Serve until the worker is gone."""
    told = Told(**json.load(sys.stdin.buffer))
    os.dup2(os.open(os.devnull, os.O_RDWR), 0)
    os.dup2(2, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        watched = os.pidfd_open(parent)
    except OSError:
        return
    zygote = Zygote(control, told, watched)
    if os.getppid() == parent:
        zygote.serve()
    zygote.close()


class Zygote:
    """Slots, and the keepers in them."""

    def __init__(self, control: socket.socket, told: Told, parent: int) -> None:
        self.control, self.parent, self.spare = control, parent, told.spare
        self.keepers: dict[int, tuple[int, int]] = {}
        """Descriptor of a keeper's process -> its number and slot."""
        self.waiting: list[socket.socket] = []
        """Keepers that have no sandbox yet."""
        self.slots = list(reversed(range(SLOTS)))
        self.leaving: list[int] = []
        """Slots whose groups the kernel still holds."""
        self.failure = self.no_groups = ""
        self.groups: Cgroups | None = None
        self.walls = _walls(told)
        try:
            self.groups = Cgroups()
        except OSError as error:
            self.no_groups = str(error)
        try:
            self.walls.around_all()
        except OSError as error:
            self.failure = str(error)
        # What was found to be missing may be there behind the walls.
        sys.path_importer_cache.clear()
        gc.collect()
        gc.freeze()

    def serve(self) -> None:
        """Hand out keepers until the worker goes."""
        while True:
            self.fill()
            wait_s = 0.05 if self.leaving else None
            control = self.control.fileno()
            readable, _, _ = select.select([control, self.parent, *self.keepers], [], [], wait_s)
            for descriptor in readable:
                if descriptor in self.keepers:
                    self.bury(descriptor)
            self.leaving = [slot for slot in self.leaving if not self.cleared(slot)]
            if self.parent in readable:
                return
            if control in readable:
                data, descriptors, _, _ = socket.recv_fds(self.control, 16, 1)
                if not data:
                    return
                for descriptor in descriptors:
                    self.hand_out(descriptor)

    def fill(self) -> None:
        """Fork keepers until enough of them wait."""
        while not self.failure and self.slots and len(self.waiting) < self.spare:
            self.waiting.append(self.fork())

    def fork(self) -> socket.socket:
        slot = self.slots.pop()
        if self.groups:
            self.groups.make(slot)
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        user = FIRST_USER + os.getpid() * SLOTS + slot if os.geteuid() == 0 else None
        pid = os.fork()
        if pid == 0:
            for other in (self.control, ours, *self.waiting):
                other.close()
            for descriptor in (self.parent, *self.keepers):
                os.close(descriptor)
            version = self.groups.version if self.groups else None
            self.walls.enforced["groups"] = f"control groups, version {version}" if version else self.no_groups
            keep(theirs, self.walls, slot, user, self.groups)
        theirs.close()
        self.keepers[os.pidfd_open(pid)] = pid, slot
        return ours

    def hand_out(self, descriptor: int) -> None:
        """Give a sandbox's socket to a keeper that waits."""
        failure = self.failure
        while not failure:
            if not self.waiting:
                if not self.slots:
                    failure = f"all {SLOTS} sandboxes of this process are taken; close one"
                    break
                self.waiting.append(self.fork())
            link = self.waiting.pop(0)
            with link:
                try:
                    socket.send_fds(link, [b"take"], [descriptor])
                except OSError:
                    continue  # it was killed while it waited
            break
        if failure:
            with socket.socket(fileno=descriptor) as owner, contextlib.suppress(OSError):
                owner.send(json.dumps({"failed": failure, "kind": "Unavailable"}).encode())
            return
        os.close(descriptor)

    def bury(self, descriptor: int) -> None:
        """A keeper has ended."""
        pid, slot = self.keepers.pop(descriptor)
        os.close(descriptor)
        os.waitpid(pid, 0)
        self.walls.remove(slot)
        self.leaving.append(slot)

    def cleared(self, slot: int) -> bool:
        """Free a slot whose groups are gone."""
        if self.groups and not self.groups.remove(slot):
            return False
        self.slots.append(slot)
        return True

    def close(self) -> None:
        """End every keeper and take away what was made for them."""
        for pid, _ in self.keepers.values():
            os.kill(pid, signal.SIGKILL)
        for descriptor in list(self.keepers):
            self.bury(descriptor)
        end_s = time.monotonic() + LEAVING_S
        while self.leaving and time.monotonic() < end_s:
            self.leaving = [slot for slot in self.leaving if not self.cleared(slot)]
            time.sleep(0.01)
        if self.groups:
            self.groups.close(self.leaving)
        self.walls.remove_all()


def _walls(told: Told) -> Walls:
    return Rules(told) if told.walls == "landlock" else Spaces(told)
