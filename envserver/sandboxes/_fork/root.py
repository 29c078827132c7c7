"""The root directory of sandboxes: a tmpfs with what of the host may be read, and places for what a sandbox mounts."""

from __future__ import annotations

import os

from envserver.sandboxes._fork.linux import (
    MOUNT_NODEV,
    MOUNT_NOSUID,
    MOUNT_RDONLY,
    MS_BIND,
    MS_NODEV,
    MS_NOSUID,
    MS_RDONLY,
    MS_REC,
    MS_REMOUNT,
    mount,
    set_mount_flags,
    swap_root,
    unmount,
)
from envserver.sandboxes._fork.walls import Told

__all__ = ["INSIDE", "mount_disk", "resize_disk", "settle"]

INSIDE = 1000
"""The user and group that programs are, seen from inside."""
STAGE = "/sys"
"""Where the tree is put together: there on every host, and nothing below is shown."""
DEVICES = ("full", "null", "random", "urandom", "zero")
LINKS = {"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"}
FILES = {
    "passwd": f"root:x:0:0:root:/:/bin/false\nsandbox:x:{INSIDE}:{INSIDE}:sandbox:/work:/bin/sh\n",
    "group": f"root:x:0:\nsandbox:x:{INSIDE}:\n",
    "hosts": "127.0.0.1 localhost sandbox\n::1 localhost\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
}
PLACES = {"work": 0o755, "tmp": 0o1777, "dev/shm": 0o1777}
"""Directories a program may write to; together they are the sandbox's disk."""


def settle(told: Told) -> None:
    """Put the tree together and make it this process's root."""
    mount("sandbox", STAGE, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0755,size=1m")
    for name in ("dev", "etc", "mnt", "packages", "proc", *PLACES):
        os.makedirs(f"{STAGE}/{name}", exist_ok=True)
    for name, text in FILES.items():
        with open(f"{STAGE}/etc/{name}", "w") as file:
            file.write(text)
    for name in DEVICES:
        _bind(f"/dev/{name}", f"{STAGE}/dev/{name}", MOUNT_NOSUID)
    for name, target in LINKS.items():
        os.symlink(target, f"{STAGE}/dev/{name}")
    read_only = MOUNT_RDONLY | MOUNT_NOSUID | MOUNT_NODEV
    for path in told.roots:
        _bind(path, STAGE + path, read_only)
    for path in told.devices:
        _bind(path, STAGE + path, MOUNT_NOSUID)
    for path in told.hidden:
        if os.path.isdir(STAGE + path):
            mount("hidden", STAGE + path, "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV, "mode=0555,size=4k")
    for name, path in told.packages.items():
        _bind(path, f"{STAGE}/packages/{name}", read_only)
    # A run can mount its own only where a whole one is in sight; it covers this.
    mount("/proc", f"{STAGE}/proc", None, MS_BIND | MS_REC)
    set_mount_flags(STAGE, MOUNT_RDONLY, recursive=False)
    swap_root(STAGE)


def _bind(path: str, at: str, flags: int) -> None:
    if os.path.islink(path):
        os.makedirs(os.path.dirname(at), exist_ok=True)
        os.symlink(os.readlink(path), at)
        return
    if os.path.isdir(path):
        os.makedirs(at, exist_ok=True)
    else:
        os.makedirs(os.path.dirname(at), exist_ok=True)
        with open(at, "w"):
            pass
    mount(path, at, None, MS_BIND | MS_REC)
    set_mount_flags(at, flags)


def mount_disk(disk_bytes: int, files: int) -> None:
    """A disk in memory of so many bytes and files, and PLACES on it."""
    mount("disk", "/mnt", "tmpfs", MS_NOSUID | MS_NODEV, f"mode=0755,{_size(disk_bytes, files)}")
    for place, mode in PLACES.items():
        inside = f"/mnt/{place.replace('/', '-')}"
        os.mkdir(inside)
        os.chmod(inside, mode)
        mount(inside, f"/{place}", None, MS_BIND)
    unmount("/mnt")


def resize_disk(disk_bytes: int, files: int) -> None:
    """Change what the disk may hold. Raises OSError where it holds more already."""
    mount("disk", "/work", None, MS_REMOUNT | MS_NOSUID | MS_NODEV, _size(disk_bytes, files))


def _size(disk_bytes: int, files: int) -> str:
    return f"size={disk_bytes},nr_inodes={files + 1 + len(PLACES)}"
