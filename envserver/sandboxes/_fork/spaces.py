"""Walls of Linux namespaces: a user, a mount, a network, a host name and a cgroup namespace for each sandbox, a process
and an IPC namespace for each run.

Whoever starts it, a keeper is an unprivileged user that makes a user namespace of its own; root only chooses the user.
"""

from __future__ import annotations

import contextlib
import os
import signal
import socket

from envserver.sandboxes._fork import linux, root, seccomp
from envserver.sandboxes._fork.walls import Told, Walls

__all__ = ["Spaces"]


class Spaces(Walls):
    """Namespaces, a root of their own, no capabilities, the filter of system calls."""

    families = seccomp.EVERY_FAMILY

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self.size = (told.disk_bytes, told.files)

    def around_all(self) -> None:
        try:
            linux.unshare(linux.CLONE_NEWNS)
        except PermissionError:
            _own_users()
            linux.unshare(linux.CLONE_NEWNS)
        linux.mount("none", "/", None, linux.MS_REC | linux.MS_PRIVATE)
        root.settle(self.told)

    def around_one(self, slot: int, user: int | None) -> str:
        if user is not None:
            self.enforced["user"] = "a user for each sandbox"
            try:
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
            except OSError:  # root of a container that has few users
                self.enforced["user"] = "the server's own, in a user namespace"
        else:
            self.enforced["user"] = "the server's own, in a user namespace"
        _own_users()
        self.own_user = True
        linux.unshare(linux.CLONE_NEWNS | linux.CLONE_NEWNET | linux.CLONE_NEWUTS | linux.CLONE_NEWCGROUP)
        socket.sethostname("sandbox")
        linux.loopback_up()
        root.mount_disk(*self.size)
        linux.set_dumpable(False)
        self.enforced |= {
            "host files": "a root of its own: system directories, read-only",
            "disk": "a disk in memory",
            "network": "none but its own loopback",
            "other processes": "none in sight",
            "system calls": "filtered",
        }
        return "/work"

    def resize(self, disk_bytes: int, files: int) -> None:
        if (disk_bytes, files) != self.size:
            try:
                root.resize_disk(disk_bytes, files)
            except OSError:
                raise OSError(f"the sandbox's files are more than {disk_bytes} bytes or {files} files") from None
            self.size = (disk_bytes, files)

    def fork_run(self) -> int:
        return linux.fork_into(linux.CLONE_NEWPID | linux.CLONE_NEWNS | linux.CLONE_NEWIPC)

    def around_run(self) -> None:
        linux.mount("proc", "/proc", "proc", linux.MS_NOSUID | linux.MS_NODEV | linux.MS_NOEXEC)

    def around_program(self) -> None:
        linux.drop_capabilities()

    def end_run(self, pid: int) -> float:
        # With the first process of a namespace go all, and it is not reaped before they are gone.
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        _, _, usage = os.wait4(pid, 0)
        return usage.ru_utime + usage.ru_stime


def _own_users() -> None:
    """A user namespace in which this process is INSIDE and has every capability."""
    user, group = os.geteuid(), os.getegid()
    linux.set_dumpable(True)  # or these files belong to root
    linux.unshare(linux.CLONE_NEWUSER)
    for name, text in (
        ("setgroups", "deny"),
        ("uid_map", f"{root.INSIDE} {user} 1"),
        ("gid_map", f"{root.INSIDE} {group} 1"),
    ):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
