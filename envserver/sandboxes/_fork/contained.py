"""Walls inside a container, whose own are the engine's: here only the program's user and the filter of system calls.

The keeper is root that acts as the program's user: it may signal the program and owns its files, but the program may
neither signal nor trace it.
"""

from __future__ import annotations

import os
from pathlib import Path

from envserver.sandboxes._fork import linux, seccomp
from envserver.sandboxes._fork.cgroup import FILES, Group
from envserver.sandboxes._fork.reaper import end_children
from envserver.sandboxes._fork.walls import Told, Walls

__all__ = ["Contained", "Watched"]

USER = 65534


class Contained(Walls):
    """A user of its own, no capabilities, the filter."""

    families = seccomp.EVERY_FAMILY

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self.enforced |= {"system calls": "filtered", "other processes": "the container's alone", **told.extra}

    def around_all(self) -> None:
        """The engine has."""

    def around_one(self, slot: int, user: int | None) -> str:
        os.setgroups([])
        os.setresgid(USER, USER, 0)
        os.setresuid(0, USER, 0)
        linux.set_subreaper()
        return "/work"

    def resize(self, disk_bytes: int, files: int) -> None:
        """The disk is what the container was given; RLIMIT_FSIZE bounds each file."""

    def fork_run(self) -> int:
        return os.fork()

    def around_program(self) -> None:
        os.setresgid(USER, USER, USER)
        os.setresuid(USER, USER, USER)
        linux.drop_capabilities()

    def end_run(self, pid: int) -> float:
        return end_children()


class Watched(Group):
    """The container's control group, which bounds all its processes and can only be read from inside."""

    def __init__(self, mounted: Path = Path("/sys/fs/cgroup")) -> None:
        """Raises OSError where it is not in sight."""
        self.version = 2 if (mounted / "memory.events").exists() else 1
        self._files = {}
        for what in ("killed", "cpu"):
            controller, file = FILES[self.version][what]
            self._files[what] = os.open(mounted / controller / file, os.O_RDONLY)

    def limit(self, memory_bytes: int, processes: int) -> None:
        """The engine has."""
