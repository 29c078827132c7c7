"""The filter of system calls: what attacks the kernel or other processes answers EPERM, everything else goes through.

A list of what is refused, not of what is allowed: programs of every kind shall run. A call of another architecture
kills the process.
"""

from __future__ import annotations

import ctypes
import errno
import platform
import socket
import struct
from collections.abc import Iterable

from envserver.sandboxes._fork.linux import (
    CLONE_NEWCGROUP,
    CLONE_NEWIPC,
    CLONE_NEWNET,
    CLONE_NEWNS,
    CLONE_NEWPID,
    CLONE_NEWUSER,
    CLONE_NEWUTS,
    system_call,
)

__all__ = ["EVERY_FAMILY", "LOCAL_FAMILY", "alone", "install", "install_alone", "program"]

EVERY_FAMILY = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
LOCAL_FAMILY = (socket.AF_UNIX,)

# fmt: off
REFUSED: dict[str, tuple[int, int]] = {
    "_sysctl": (156, -1), "acct": (163, 89), "add_key": (248, 217), "adjtimex": (159, 171), "bpf": (321, 280),
    "chroot": (161, 51), "clock_adjtime": (305, 266), "clock_settime": (227, 112), "delete_module": (176, 106),
    "fanotify_init": (300, 262), "finit_module": (313, 273), "fsconfig": (431, 431), "fsmount": (432, 432),
    "fsopen": (430, 430), "fspick": (433, 433), "init_module": (175, 105), "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427), "io_uring_setup": (425, 425), "ioperm": (173, -1), "iopl": (172, -1),
    "kcmp": (312, 272), "kexec_file_load": (320, 294), "kexec_load": (246, 104), "keyctl": (250, 219),
    "lookup_dcookie": (212, 18), "mbind": (237, 235), "memfd_secret": (447, 447), "migrate_pages": (256, 238),
    "modify_ldt": (154, -1), "mount": (165, 40), "mount_setattr": (442, 442), "move_mount": (429, 429),
    "move_pages": (279, 239), "name_to_handle_at": (303, 264), "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265), "open_tree": (428, 428), "perf_event_open": (298, 241),
    "pidfd_getfd": (438, 438), "pivot_root": (155, 41), "process_madvise": (440, 440),
    "process_vm_readv": (310, 270), "process_vm_writev": (311, 271), "ptrace": (101, 117), "quotactl": (179, 60),
    "quotactl_fd": (443, 443), "reboot": (169, 142), "request_key": (249, 218), "setdomainname": (171, 162),
    "sethostname": (170, 161), "setns": (308, 268), "settimeofday": (164, 170), "swapoff": (168, 225),
    "swapon": (167, 224), "sysfs": (139, -1), "syslog": (103, 116), "umount2": (166, 39), "unshare": (272, 97),
    "uselib": (134, -1), "userfaultfd": (323, 282), "ustat": (136, -1), "vhangup": (153, 58),
}
"""Call -> its number on x86_64 and on aarch64, -1 where it has none."""
# fmt: on
CLONE, CLONE3, SOCKET = (56, 220), (435, 435), (41, 198)
COMPANY: dict[str, tuple[int, int]] = {
    "execve": (59, 221), "execveat": (322, 281), "fork": (57, -1), "sched_setaffinity": (203, 122),
    "sched_setattr": (314, 274), "sched_setparam": (142, 118), "sched_setscheduler": (144, 119),
    "setpriority": (141, 140), "socket": SOCKET, "socketpair": (53, 199), "vfork": (58, -1),
}  # fmt: skip
"""What a process that is to stay alone has no use for."""
CLONE_THREAD = 0x10000
ARCHITECTURES = (0xC000003E, 0xC00000B7)
NEW_NAMESPACES = (
    CLONE_NEWNS | CLONE_NEWCGROUP | CLONE_NEWUTS | CLONE_NEWIPC | CLONE_NEWUSER | CLONE_NEWPID | CLONE_NEWNET
)
X32 = 0x40000000
"""Bit of the second set of call numbers of x86_64, which would go round the first's."""

LOAD, EQUAL, AT_LEAST, ANY_BIT, RETURN = 0x20, 0x15, 0x35, 0x45, 0x06
ALLOW, KILL, ERRNO = 0x7FFF0000, 0x80000000, 0x00050000
NUMBER, ARCHITECTURE, FIRST_ARGUMENT = 0, 4, 16
SECCOMP_SET_MODE_FILTER = 1


def program(machine: str, families: Iterable[int]) -> bytes:
    """The filter in the kernel's form, for a machine; sockets may be of `families` alone."""
    column = ("x86_64", "aarch64").index(machine)
    code: list[tuple[int, int, int, int]] = [
        (LOAD, 0, 0, ARCHITECTURE),
        (EQUAL, 1, 0, ARCHITECTURES[column]),
        (RETURN, 0, 0, KILL),
        (LOAD, 0, 0, NUMBER),
    ]
    if machine == "x86_64":
        code += [(AT_LEAST, 0, 1, X32), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    for numbers in REFUSED.values():
        if numbers[column] >= 0:
            code += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, ERRNO | errno.EPERM)]
    # Its flags lie in memory, where a filter cannot look; told that it is missing, libc takes clone.
    code += [(EQUAL, 0, 1, CLONE3[column]), (RETURN, 0, 0, ERRNO | errno.ENOSYS)]
    code += [
        (EQUAL, 0, 4, CLONE[column]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_BIT, 0, 1, NEW_NAMESPACES),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    allowed = list(families)
    code += [(EQUAL, 0, len(allowed) + 2, SOCKET[column]), (LOAD, 0, 0, FIRST_ARGUMENT)]
    code += [(EQUAL, len(allowed) - at, 0, family) for at, family in enumerate(allowed)]
    code += [(RETURN, 0, 0, ERRNO | errno.EAFNOSUPPORT), (RETURN, 0, 0, ALLOW)]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def alone(machine: str) -> bytes:
    """A further filter, for a process that may start threads and nothing else, and stays on its cores."""
    column = ("x86_64", "aarch64").index(machine)
    code: list[tuple[int, int, int, int]] = [(LOAD, 0, 0, NUMBER)]
    for numbers in COMPANY.values():
        if numbers[column] >= 0:
            code += [(EQUAL, 0, 1, numbers[column]), (RETURN, 0, 0, ERRNO | errno.EPERM)]
    code += [
        (EQUAL, 0, 3, CLONE[column]),
        (LOAD, 0, 0, FIRST_ARGUMENT),
        (ANY_BIT, 1, 0, CLONE_THREAD),
        (RETURN, 0, 0, ERRNO | errno.EPERM),
        (RETURN, 0, 0, ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in code)


def install(families: Iterable[int]) -> None:
    """Put the filter on this process and all that follow from it; needs no_new_privileges."""
    _install(program(platform.machine(), families))


def install_alone() -> None:
    """Put the further filter on this process."""
    _install(alone(platform.machine()))


def _install(code: bytes) -> None:
    kept = ctypes.create_string_buffer(code, len(code))

    class Program(ctypes.Structure):
        _fields_ = [("length", ctypes.c_ushort), ("instructions", ctypes.c_void_p)]

    told = Program(len(code) // 8, ctypes.addressof(kept))
    system_call("seccomp", ctypes.c_uint(SECCOMP_SET_MODE_FILTER), ctypes.c_uint(0), ctypes.byref(told))
