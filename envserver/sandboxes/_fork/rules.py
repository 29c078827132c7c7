"""Walls of Landlock rules, for a host that refuses namespaces: what programs may open, whom they may signal.

A working directory on the host's disk, no /proc, no socket but a local one that has a name in that directory.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import stat
import struct
import sys
from pathlib import Path

from envserver.sandboxes._fork import linux, seccomp
from envserver.sandboxes._fork.reaper import end_children
from envserver.sandboxes._fork.walls import Told, Walls

__all__ = ["Rules"]

EXECUTE, WRITE_FILE, READ_FILE, READ_DIRECTORY = 1, 2, 4, 8
REFER, TRUNCATE, IOCTL_DEVICE = 1 << 13, 1 << 14, 1 << 15
MAKE_DEVICES = 1 << 6 | 1 << 11
CONNECT_TCP, BIND_TCP = 2, 1
SCOPE_ABSTRACT, SCOPE_SIGNAL = 1, 2
VERSION_WANTED = 1
PATH_BENEATH = 1
SIGNALS_SINCE = 6
"""Version of Landlock that bounds signals and abstract sockets, which would reach whoever is the same user."""
DEVICES = ("/dev/full", "/dev/null", "/dev/random", "/dev/urandom", "/dev/zero")


class Rules(Walls):
    """Landlock, the filter of system calls, resource limits, and as root a user for each sandbox."""

    families = seccomp.LOCAL_FAMILY

    def __init__(self, told: Told) -> None:
        super().__init__(told)
        self.base = os.path.join(told.scratch, f"turnhalle-sandboxes-{os.getpid()}")
        self.directory = ""
        self.size = (told.disk_bytes, told.files)
        self.version = 0

    def around_all(self) -> None:
        self.version = linux.system_call(
            "landlock_create_ruleset", None, ctypes.c_size_t(0), ctypes.c_uint(VERSION_WANTED)
        )
        if self.version < SIGNALS_SINCE:
            raise OSError(f"this kernel's Landlock is version {self.version}; {SIGNALS_SINCE} (Linux 6.12) is needed")
        if not os.path.exists(f"/proc/self/task/{os.getpid()}/children"):
            raise OSError("this kernel does not list a process's children (CONFIG_PROC_CHILDREN)")
        _sweep(Path(self.told.scratch))
        os.mkdir(self.base, 0o711)
        packages = os.path.join(self.base, "packages")
        os.mkdir(packages, 0o755)
        for name, path in self.told.packages.items():
            os.symlink(path, os.path.join(packages, name))

    def around_one(self, slot: int, user: int | None) -> str:
        self.directory = os.path.join(self.base, str(slot))
        os.mkdir(self.directory, 0o700)
        self.enforced |= {
            "user": "the server's own",
            "host files": "system directories can be read, /proc and /tmp cannot",
            "disk": "each file; all together are looked at twenty times a second",
            "network": "no socket but local ones",
            "other processes": "can be neither signalled nor traced",
            "system calls": "filtered",
        }
        if user is not None and _reachable(sys.executable):
            with contextlib.suppress(OSError):  # root of a container that has few users
                os.chown(self.directory, user, user)
                os.setgroups([])
                os.setresgid(user, user, user)
                os.setresuid(user, user, user)
                self.enforced["user"] = "a user for each sandbox"
                self.own_user = True
        linux.set_subreaper()
        return self.directory

    def resize(self, disk_bytes: int, files: int) -> None:
        self.size = (disk_bytes, files)

    def overrun(self) -> bool:
        held_bytes = count = 0
        places = [self.directory]
        for place in places:
            try:
                for entry in os.scandir(place):
                    held_bytes += entry.stat(follow_symlinks=False).st_blocks * 512
                    count += 1
                    if entry.is_dir(follow_symlinks=False):
                        places.append(entry.path)
            except FileNotFoundError:
                continue  # it was taken away meanwhile
            except PermissionError:
                return True  # a directory that nobody may look into could hold anything
        return held_bytes > self.size[0] or count > self.size[1]

    def fork_run(self) -> int:
        return os.fork()

    def around_program(self) -> None:
        packages = os.path.join(self.base, "packages")
        os.environ.update(HOME=self.directory, TMPDIR=self.directory, PYTHONPATH=packages)
        sys.path[:] = [packages if path == "/packages" else path for path in sys.path]
        self._restrict()
        linux.drop_capabilities()

    def end_run(self, pid: int) -> float:
        return end_children()

    def remove(self, slot: int) -> None:
        _remove(os.path.join(self.base, str(slot)))

    def remove_all(self) -> None:
        _remove(self.base)

    def _restrict(self) -> None:
        every = (1 << 16) - 1 if self.version >= 5 else (1 << 15) - 1
        told = struct.pack("<QQQ", every, CONNECT_TCP | BIND_TCP, SCOPE_ABSTRACT | SCOPE_SIGNAL)
        ruleset = linux.system_call("landlock_create_ruleset", told, ctypes.c_size_t(len(told)), ctypes.c_uint(0))
        read = EXECUTE | READ_FILE | READ_DIRECTORY
        for root in [*self.told.roots, *self.told.packages.values(), os.path.join(self.base, "packages")]:
            _allow(ruleset, root, read, self.told.hidden)
        for device in DEVICES:
            _allow(ruleset, device, READ_FILE | WRITE_FILE, [])
        for device in self.told.devices:
            _allow(ruleset, device, READ_FILE | WRITE_FILE | IOCTL_DEVICE, [])
        _allow(ruleset, self.directory, every & ~MAKE_DEVICES & ~IOCTL_DEVICE, [])
        linux.system_call("landlock_restrict_self", ruleset, ctypes.c_uint(0))
        os.close(ruleset)


def _allow(ruleset: int, path: str, access: int, hidden: list[str]) -> None:
    """Allow access to a path and what is below, but for what is hidden: of that only the names can be read."""
    path = os.path.realpath(path)
    within = [one for one in hidden if one == path or one.startswith(path + "/")]
    if within:
        access = READ_DIRECTORY
        if path not in within:
            for entry in os.scandir(path):
                if entry.path not in within and not entry.is_symlink():
                    _allow(ruleset, entry.path, EXECUTE | READ_FILE | READ_DIRECTORY, within)
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    if not os.path.isdir(path):
        access &= EXECUTE | WRITE_FILE | READ_FILE | TRUNCATE | IOCTL_DEVICE
    try:
        if access:
            rule = struct.pack("<Qi", access, descriptor)
            linux.system_call("landlock_add_rule", ruleset, PATH_BENEATH, rule, ctypes.c_uint(0))
    finally:
        os.close(descriptor)


def _reachable(path: str) -> bool:
    """Whether any user can get to a file."""
    return all(above.stat().st_mode & stat.S_IXOTH for above in Path(path).resolve().parents)


def _sweep(scratch: Path) -> None:
    """Take away what servers that were killed have left."""
    for path in scratch.glob("turnhalle-sandboxes-*"):
        number = path.name.rpartition("-")[2]
        if number.isdecimal() and not os.path.exists(f"/proc/{number}"):
            _remove(str(path))


def _remove(directory: str) -> None:
    """Take a directory away, with what a program has closed to its own user."""
    for path, names, _ in os.walk(directory):
        for below in (os.path.join(path, name) for name in names):
            if not os.path.islink(below):
                with contextlib.suppress(OSError):
                    os.chmod(below, 0o700)
    shutil.rmtree(directory, ignore_errors=True)
