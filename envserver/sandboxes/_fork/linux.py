"""System calls that the standard library does not have. Each raises OSError, which names the call."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import platform
import socket
import struct

__all__ = [
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "LIBC",
    "MOUNT_NODEV",
    "MOUNT_NOEXEC",
    "MOUNT_NOSUID",
    "MOUNT_RDONLY",
    "MS_BIND",
    "MS_NODEV",
    "MS_NOEXEC",
    "MS_NOSUID",
    "MS_PRIVATE",
    "MS_RDONLY",
    "MS_REC",
    "MS_REMOUNT",
    "close_from",
    "die_with_parent",
    "drop_capabilities",
    "fork_into",
    "loopback_up",
    "mount",
    "no_new_privileges",
    "prctl",
    "set_dumpable",
    "set_mount_flags",
    "set_subreaper",
    "swap_root",
    "system_call",
    "unmount",
    "unshare",
]

LIBC = ctypes.CDLL(None, use_errno=True)
# Holds the interpreter's lock over the call: the child of a bare clone finds it held by itself.
LOCKED = ctypes.PyDLL(None, use_errno=True)

MS_RDONLY, MS_NOSUID, MS_NODEV, MS_NOEXEC, MS_REMOUNT = 1, 2, 4, 8, 32
MS_BIND, MS_REC, MS_PRIVATE = 4096, 16384, 1 << 18
MOUNT_RDONLY, MOUNT_NOSUID, MOUNT_NODEV, MOUNT_NOEXEC = 1, 2, 4, 8
CLONE_NEWNS, CLONE_NEWCGROUP, CLONE_NEWUTS, CLONE_NEWIPC = 0x20000, 0x2000000, 0x4000000, 0x8000000
CLONE_NEWUSER, CLONE_NEWPID, CLONE_NEWNET = 0x10000000, 0x20000000, 0x40000000
SIGCHLD = 17
MNT_DETACH = 2
AT_FDCWD, AT_RECURSIVE = -100, 0x8000

PR_SET_PDEATHSIG, PR_SET_DUMPABLE, PR_CAPBSET_DROP = 1, 4, 24
PR_SET_CHILD_SUBREAPER, PR_SET_NO_NEW_PRIVS, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL = 36, 38, 47, 4
CAPABILITY_VERSION_3 = 0x20080522
SIOCSIFFLAGS, IFF_UP = 0x8914, 1

NUMBERS: dict[str, tuple[int, int]] = {
    "capset": (126, 91),
    "clone": (56, 220),
    "close_range": (436, 436),
    "landlock_add_rule": (445, 445),
    "landlock_create_ruleset": (444, 444),
    "landlock_restrict_self": (446, 446),
    "mount_setattr": (442, 442),
    "pivot_root": (155, 41),
    "seccomp": (317, 277),
}
"""Numbers of the calls that libc does not wrap, on x86_64 and on aarch64."""


def _checked(name: str, result: int) -> int:
    if result == -1:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")
    return result


def system_call(name: str, *arguments: object) -> int:
    """One of NUMBERS by its name."""
    machine = platform.machine()
    if machine not in ("x86_64", "aarch64"):
        raise OSError(errno.ENOSYS, f"{name}: this sandbox knows x86_64 and aarch64, not {machine}")
    number = NUMBERS[name][machine == "aarch64"]
    library = LOCKED if name == "clone" else LIBC
    return _checked(name, library.syscall(ctypes.c_long(number), *arguments))


def prctl(option: int, value: int = 0, third: int = 0) -> None:
    """prctl(2)."""
    zero = ctypes.c_ulong(0)
    _checked(f"prctl({option})", LIBC.prctl(option, ctypes.c_ulong(value), ctypes.c_ulong(third), zero, zero))


def die_with_parent() -> None:
    """Have the kernel kill this process when its parent ends; what changes a process's user forgets this."""
    prctl(PR_SET_PDEATHSIG, 9)


def set_dumpable(yes: bool) -> None:
    """Whether this process's /proc files belong to its user, who may then trace it."""
    prctl(PR_SET_DUMPABLE, int(yes))


def set_subreaper() -> None:
    """Orphans below this process become its children."""
    prctl(PR_SET_CHILD_SUBREAPER, 1)


def no_new_privileges() -> None:
    """No program started from here gains what this process does not have."""
    prctl(PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """Give up every capability, now and for what is executed later."""
    for capability in range(64):
        if LIBC.prctl(PR_CAPBSET_DROP, ctypes.c_ulong(capability), *[ctypes.c_ulong(0)] * 3) == -1:
            break  # the last one this kernel knows was before
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL)
    system_call("capset", struct.pack("<Ii", CAPABILITY_VERSION_3, 0), bytes(24))


def unshare(flags: int) -> None:
    """unshare(2)."""
    _checked("unshare", LIBC.unshare(flags))


def fork_into(flags: int) -> int:
    """Fork into fresh namespaces; 0 in the child.

    Only from a single-threaded process. The child may fork and exit; it must not start threads, since its C library
    still believes to be the parent.
    """
    zero = ctypes.c_ulong(0)
    return system_call("clone", ctypes.c_ulong(flags | SIGCHLD), zero, zero, zero, zero)


def mount(source: str, target: str, kind: str | None, flags: int = 0, data: str | None = None) -> None:
    """mount(2)."""
    words = [None if word is None else os.fsencode(word) for word in (source, target, kind, data)]
    result = LIBC.mount(words[0], words[1], words[2], ctypes.c_ulong(flags), words[3])
    _checked(f"mount {kind or source} on {target}", result)


def unmount(target: str) -> None:
    """Take a mount out of the tree; it ends when nothing holds it."""
    _checked(f"umount {target}", LIBC.umount2(os.fsencode(target), MNT_DETACH))


def set_mount_flags(target: str, flags: int, *, recursive: bool = True) -> None:
    """Add MOUNT_ flags to a mount and, where `recursive`, to those below it."""
    attributes = struct.pack("<QQQQ", flags, 0, 0, 0)
    at = ctypes.c_uint(AT_RECURSIVE if recursive else 0)
    system_call("mount_setattr", AT_FDCWD, os.fsencode(target), at, attributes, ctypes.c_size_t(len(attributes)))


def swap_root(new: str) -> None:
    """Make a mount the root and let go of the old one."""
    os.chdir(new)
    system_call("pivot_root", b".", b".")
    unmount(".")
    os.chdir("/")


def close_from(first: int) -> None:
    """Close every descriptor from `first` on."""
    system_call("close_range", ctypes.c_uint(first), ctypes.c_uint(0xFFFFFFFF), ctypes.c_uint(0))


def loopback_up() -> None:
    """Switch on `lo` of this network namespace, so that a program can talk to itself."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH22x", b"lo", IFF_UP))
