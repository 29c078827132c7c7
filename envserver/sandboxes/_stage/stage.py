"""One stage: a process behind a sandbox's walls that keeps living, told what to do over a socket.

Three processes: the *holder* puts walls up around itself and makes a process namespace; its first process is the parent
of the *player*, which is what the socket leads to. The referee kills the holder, and with it all go. The player may
start threads, and no process, program or socket; it shares one region of memory with the referee and nothing else,
and that comes with its size, sealed, once it is known.
"""

from __future__ import annotations

import contextlib
import fcntl
import mmap
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Callable
from typing import Any, NoReturn

from envserver.sandboxes._fork import linux, program, seccomp
from envserver.sandboxes._fork.cgroup import Cgroups, Group
from envserver.sandboxes._fork.walls import Walls

__all__ = ["Ended", "Place", "Silent", "Stage"]

CREDENTIALS = struct.Struct("3i")
SCM_CREDENTIALS = 2
MESSAGE_BYTES = 1 << 18
OUT_OF_MEMORY = 99
"""Exit code of a holder whose player the kernel ended for want of memory."""
SPARE_PROCESSES = 24
"""Threads that libraries start for themselves."""
OPEN_FILES = 64
SEALS = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL

Player = Callable[[socket.socket], NoReturn]


class Ended(Exception):
    """Raised where the player is gone; says how."""

    def __init__(self, signal_number: int | None, out_of_memory: bool) -> None:
        super().__init__(f"ended by signal {signal_number}" if signal_number else "ended by itself")
        self.signal = signal_number
        self.out_of_memory = out_of_memory


class Silent(Exception):
    """Raised where the player did not answer in time; it has been killed."""


class Place:
    """What a stage is built in."""

    def __init__(self, walls: Walls, slot: int, user: int | None, groups: Cgroups | None, memory_bytes: int) -> None:
        self.walls, self.slot, self.user, self.groups = walls, slot, user, groups
        self.memory_bytes = memory_bytes


class Stage:
    """A player, seen from the referee that forks it. The referee has to be single-threaded."""

    def __init__(self, place: Place, player: Player, alone: bool) -> None:
        self.link, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.link.setsockopt(socket.SOL_SOCKET, socket.SO_PASSCRED, 1)
        self.memory = -1
        """The region's file, once it has a size; the player is given it then."""
        self.player = 0
        """Number of the player's process, as the kernel says it."""
        self.status: int | None = None
        self.holder = os.fork()
        if self.holder == 0:
            try:
                _hold(place, player, theirs, alone)
            finally:
                os._exit(1)
        theirs.close()

    def meet(self, timeout_s: float) -> None:
        """Wait until the player stands there. Raises OSError where it could not be locked in, Ended, Silent."""
        data = self.hear(timeout_s)
        if data != b"ready":
            raise OSError(data.decode(errors="replace"))

    def size(self, size_bytes: int) -> mmap.mmap:
        """Make the region, of this size for good, before anybody else has it."""
        self.memory = os.memfd_create("tensors", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, size_bytes)
        fcntl.fcntl(self.memory, fcntl.F_ADD_SEALS, SEALS)
        return mmap.mmap(self.memory, size_bytes)

    def tell(self, data: bytes, descriptors: list[int] | None = None) -> None:
        """Send a message. Raises Ended."""
        try:
            if descriptors:
                socket.send_fds(self.link, [data], descriptors)
            else:
                self.link.send(data)
        except OSError:
            raise self.ended() from None

    def hear(self, timeout_s: float) -> bytes:
        """The next message. Raises Ended, Silent."""
        poll = select.poll()
        poll.register(self.link, select.POLLIN)
        if not poll.poll(max(0.0, timeout_s) * 1000):
            self.kill()
            raise Silent
        try:
            data, ancillary, _, _ = self.link.recvmsg(MESSAGE_BYTES, 64)
        except OSError:
            data, ancillary = b"", []
        if not data:
            raise self.ended()
        for level, kind, told in ancillary:
            if level == socket.SOL_SOCKET and kind == SCM_CREDENTIALS and not self.player:
                self.player = CREDENTIALS.unpack(told[: CREDENTIALS.size])[0]
        return data

    def cpu_s(self) -> float:
        """CPU time of all the player's threads so far, by the kernel's count; of one that is gone, 0."""
        try:
            return time.clock_gettime((~self.player << 3) | 2)
        except OSError:
            return 0.0

    def pin(self, cores: set[int]) -> None:
        """Keep every thread of the player on these cores; it cannot leave them."""
        with contextlib.suppress(OSError):
            for thread in os.listdir(f"/proc/{self.player}/task"):
                with contextlib.suppress(OSError):
                    os.sched_setaffinity(int(thread), cores)

    def ended(self) -> Ended:
        """How it ended; waits for that."""
        if self.status is None:
            self.kill_after(2.0)
        assert self.status is not None
        code = os.waitstatus_to_exitcode(self.status)
        return Ended(code - 128 if code > 128 else -code if code < 0 else None, code == OUT_OF_MEMORY)

    def kill_after(self, grace_s: float) -> None:
        """Wait for the holder to say how it ended; kill it where it does not."""
        end_s = time.monotonic() + grace_s
        while time.monotonic() < end_s:
            pid, status = os.waitpid(self.holder, os.WNOHANG)
            if pid:
                self.status = status
                return
            time.sleep(0.001)
        self.kill()

    def kill(self) -> None:
        """End it and all it has started; safe to call twice."""
        if self.status is None:
            os.kill(self.holder, signal.SIGKILL)
            self.status = os.waitpid(self.holder, 0)[1]


def _hold(place: Place, player: Player, link: socket.socket, alone: bool) -> NoReturn:
    """The holder's life."""
    code = 1
    try:
        walls, group = place.walls, place.groups.join(place.slot) if place.groups else None
        _keep_only({link.fileno(), *(group.descriptors() if group else ())})
        directory = walls.around_one(place.slot, place.user)
        linux.die_with_parent()
        if group:
            group.limit(place.memory_bytes, SPARE_PROCESSES)
        first = walls.fork_run()
        if first == 0:
            _begin(place, group, player, link, directory, alone)
        link.close()
        killed = group.killed() if group else 0
        code = _code(os.waitpid(first, 0)[1])
        if group and group.killed() > killed:
            code = OUT_OF_MEMORY
    except OSError as error:
        with contextlib.suppress(OSError):
            link.send(str(error).encode())
    finally:
        os._exit(code)


def _begin(
    place: Place, group: Group | None, player: Player, link: socket.socket, directory: str, alone: bool
) -> NoReturn:
    """The life of a process namespace's first process: it is the player's parent, and says how that ended."""
    code = 1
    try:
        linux.die_with_parent()
        place.walls.around_run()
        child = os.fork()
        if child == 0:
            _become(place, group, player, link, directory, alone)
        link.close()
        while True:
            pid, status = os.wait()
            if pid == child:
                code = _code(status)
                break
    except OSError as error:
        with contextlib.suppress(OSError):
            link.send(str(error).encode())
    finally:
        os._exit(code)


def _become(
    place: Place, group: Group | None, player: Player, link: socket.socket, directory: str, alone: bool
) -> NoReturn:
    try:
        nothing = os.open(os.devnull, os.O_RDWR)
        limits = _limits(place, group)  # Landlock shows no /proc.
        program.lock_in(place.walls, directory)
        for number, value in limits.items():
            resource.setrlimit(number, (value, value))
        if alone:
            seccomp.install_alone()
        for standard in (0, 1, 2):
            os.dup2(nothing, standard)
        os.dup2(fcntl.fcntl(link.detach(), fcntl.F_DUPFD, 10), 3)
        linux.close_from(4)
        for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        told = socket.socket(fileno=3)
        told.send(b"ready")
    except OSError as error:
        with contextlib.suppress(OSError):
            link.send(str(error).encode())
        os._exit(1)
    try:
        player(told)
    finally:
        os._exit(1)


def _limits(place: Place, group: Group | None) -> dict[int, int]:
    limits: dict[Any, int] = {resource.RLIMIT_NOFILE: OPEN_FILES, resource.RLIMIT_FSIZE: 1 << 30}
    if place.walls.own_user:
        limits[resource.RLIMIT_NPROC] = SPARE_PROCESSES
    if group is None:
        with open("/proc/self/statm") as file:
            limits[resource.RLIMIT_AS] = int(file.read().split()[0]) * mmap.PAGESIZE + place.memory_bytes
    return limits


def _code(status: int) -> int:
    """An exit code that says how a child ended, as a shell's."""
    code = os.waitstatus_to_exitcode(status)
    return 128 - code if code < 0 else code


def _keep_only(kept: set[int]) -> None:
    for name in os.listdir("/proc/self/fd"):
        if int(name) > 2 and int(name) not in kept:
            with contextlib.suppress(OSError):
                os.close(int(name))
