"""Control groups of version 1 or 2: what bounds all processes of a sandbox together, where this host lets us make them.

Every fork server has one directory a controller, named after its process; every slot one below. A server that was
killed leaves its directories; the next one on the host takes away what belongs to no process.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterable
from pathlib import Path

__all__ = ["Cgroups", "Group"]

FILES = {
    1: {
        "join": ("memory", "cgroup.procs"),
        "memory": ("memory", "memory.limit_in_bytes"),
        "used": ("memory", "memory.usage_in_bytes"),
        "killed": ("memory", "memory.oom_control"),
        "pids": ("pids", "pids.max"),
        "cpu": ("cpuacct", "cpuacct.usage"),
    },
    2: {
        "join": ("", "cgroup.procs"),
        "memory": ("", "memory.max"),
        "used": ("", "memory.current"),
        "killed": ("", "memory.events"),
        "pids": ("", "pids.max"),
        "cpu": ("", "cpu.stat"),
    },
}
"""What is needed -> the controller's directory and the file, in either version."""
NEEDED = {1: ("memory", "pids", "cpuacct"), 2: ("memory", "pids")}
NAME = re.compile(r"turnhalle-(\d+)-(\d+)")


class Cgroups:
    """The directories of one fork server. Raises OSError, which says why, where this host has none for us."""

    def __init__(self, proc: Path = Path("/proc")) -> None:
        self.version, parents = _parents(proc)
        self.name = f"turnhalle-{os.getpid()}-{_started(proc, os.getpid())}"
        self._parents: dict[str, int] = {}
        self._own: dict[str, int] = {}
        try:
            for controller, parent in parents.items():
                _sweep(proc, parent)
                (parent / self.name).mkdir(exist_ok=True)
                # Held open, since the server's own root will not have these paths.
                self._parents[controller] = os.open(parent, os.O_RDONLY | os.O_DIRECTORY)
                self._own[controller] = os.open(parent / self.name, os.O_RDONLY | os.O_DIRECTORY)
                if self.version == 2:
                    _write(self._own[controller], "cgroup.subtree_control", "+memory +pids")
        except OSError:
            self.close(())
            raise

    def make(self, slot: int) -> None:
        """The groups of a slot."""
        for own in self._own.values():
            with contextlib.suppress(FileExistsError):
                os.mkdir(str(slot), dir_fd=own)

    def join(self, slot: int) -> Group:
        """Put this process into a slot's groups, and let go of the directories."""
        inside = {name: os.open(str(slot), os.O_RDONLY, dir_fd=own) for name, own in self._own.items()}
        for directory in inside.values():
            _write(directory, "cgroup.procs", str(os.getpid()))
        group = Group(self.version, inside)
        for descriptor in (*inside.values(), *self._own.values(), *self._parents.values()):
            os.close(descriptor)
        return group

    def remove(self, slot: int) -> bool:
        """Take a slot's groups away; False while the kernel still holds a process of them."""
        kept = [own for own in self._own.values() if not _removed(str(slot), own)]
        return not kept

    def close(self, slots: Iterable[int]) -> None:
        """Take everything away; what is still held is left to the next server's sweep."""
        for slot in slots:
            self.remove(slot)
        for controller, parent in self._parents.items():
            _removed(self.name, parent)
            os.close(parent)
            if controller in self._own:
                os.close(self._own[controller])
        self._parents, self._own = {}, {}


class Group:
    """A slot's limits and counts, through files that stay open when the process gives up its rights."""

    def __init__(self, version: int, directories: dict[str, int]) -> None:
        self.version = version
        self._files = {
            what: os.open(file, os.O_RDONLY if what in ("used", "killed", "cpu") else os.O_WRONLY, dir_fd=directory)
            for what, (controller, file) in FILES[version].items()
            if what != "join"
            for directory in (directories[controller],)
        }
        # Memory that is swapped out would not count.
        swap = ("memory.swappiness", "memory") if version == 1 else ("memory.swap.max", "")
        with contextlib.suppress(OSError):
            _write(directories[swap[1]], swap[0], "0")

    def descriptors(self) -> list[int]:
        """Files that have to stay open."""
        return list(self._files.values())

    def limit(self, memory_bytes: int, processes: int) -> None:
        """Allow `memory_bytes` beyond what is in use, files in memory among them, and so many processes and threads."""
        os.pwrite(self._files["memory"], b"%d" % (int(self._read("used")) + memory_bytes), 0)
        os.pwrite(self._files["pids"], b"%d" % processes, 0)

    def cpu_s(self) -> float:
        """CPU time that all processes of the group have had."""
        text = self._read("cpu")
        return int(text) / 1e9 if self.version == 1 else int(_field(text, "usage_usec")) / 1e6

    def killed(self) -> int:
        """How many processes the kernel has ended for want of memory."""
        return int(_field(self._read("killed"), "oom_kill"))

    def _read(self, what: str) -> bytes:
        return os.pread(self._files[what], 4096, 0)


def _parents(proc: Path) -> tuple[int, dict[str, Path]]:
    """The version, and by controller the directory where we may make groups."""
    own: dict[str, str] = {}
    for line in (proc / "self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        own.update(dict.fromkeys(controllers.split(","), path))
    mounts: dict[str, tuple[Path, str]] = {}
    for line in (proc / "self/mountinfo").read_text().splitlines():
        left, _, right = line.partition(" - ")
        kind, _, options = right.split(" ", 2)
        root, point = left.split(" ")[3:5]
        if kind == "cgroup2":
            mounts[""] = Path(point), root
        elif kind == "cgroup":
            mounts.update(dict.fromkeys(options.split(" ")[-1].split(","), (Path(point), root)))
    if all(name in mounts and name in own for name in NEEDED[1]):
        found = {name: _inside(*mounts[name], own[name]) for name in NEEDED[1]}
        for name, place in found.items():
            if not os.access(place, os.W_OK):
                raise PermissionError(f"the control group {place} of '{name}' cannot be written")
        return 1, found
    if "" not in mounts:
        raise FileNotFoundError("no control groups are mounted")
    mine = _inside(*mounts[""], own.get("", "/"))
    # A group that has processes hands no controller down, so ours are made beside it or further up.
    for place in [mine, *mine.parents] if mine == mounts[""][0] else mine.parents:
        control = place / "cgroup.subtree_control"
        if control.exists() and os.access(place, os.W_OK) and {*NEEDED[2]} <= {*control.read_text().split()}:
            return 2, {"": place}
    raise PermissionError(f"no control group above {mine} can be written and hands down memory and pids")


def _inside(point: Path, root: str, path: str) -> Path:
    """Where a group is mounted, of which the mount shows `root` and what is below."""
    if root != "/" and path.startswith(root):
        path = path[len(root) :]
    return point / path.strip("/")


def _sweep(proc: Path, parent: Path) -> None:
    """Take away groups of servers that are no more."""
    for path in parent.glob("turnhalle-*"):
        named = NAME.fullmatch(path.name)
        if named is None or _started(proc, int(named[1])) == named[2]:
            continue
        with contextlib.suppress(OSError):
            for slot in path.iterdir():
                if slot.is_dir():
                    slot.rmdir()
            path.rmdir()


def _started(proc: Path, pid: int) -> str:
    """When a process was started, in ticks: with its number, a name that is never given twice."""
    try:
        return (proc / str(pid) / "stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


def _write(directory: int, name: str, text: str) -> None:
    descriptor = os.open(name, os.O_WRONLY, dir_fd=directory)
    try:
        os.write(descriptor, text.encode())
    finally:
        os.close(descriptor)


def _removed(name: str, parent: int) -> bool:
    try:
        os.rmdir(name, dir_fd=parent)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return True


def _field(text: bytes, name: str) -> bytes:
    """The value of a line `name value`."""
    for line in text.splitlines():
        key, _, value = line.partition(b" ")
        if key == name.encode():
            return value
    return b"0"
