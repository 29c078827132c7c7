"""What tests of sandboxes look at on the host: processes, control groups, directories, mounts."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from envserver.sandboxes.base import Sandbox, SandboxUnavailable, open_sandbox

__all__ = ["SAFE", "children", "left_of", "opened", "until"]

SAFE = ("namespace", "landlock")


def opened(name: str, **options: object) -> Sandbox:
    """A sandbox, or a skip that says what this host lacks."""
    try:
        return open_sandbox(name, options, allow_unsafe=True)  # type: ignore[arg-type]
    except SandboxUnavailable as error:
        pytest.skip(f"this host cannot run '{name}': {error}")


def children(pid: int) -> Iterator[int]:
    """Every process below one, at any depth."""
    try:
        below = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return
    for child in below:
        yield child
        yield from children(child)


def left_of(pids: set[int]) -> dict[str, list[str]]:
    """What fork servers of these process numbers have left on the host."""
    groups = [path for path in Path("/sys/fs/cgroup").glob("**/turnhalle-*") if int(path.name.split("-")[1]) in pids]
    scratch = [path for path in Path(tempfile.gettempdir()).glob("turnhalle-sandboxes-*") if _number(path) in pids]
    return {
        "processes": [str(pid) for pid in pids if _alive(pid)],
        "groups": [str(path) for path in groups],
        "directories": [str(path) for path in scratch],
    }


def _alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def _number(path: Path) -> int:
    return int(path.name.rpartition("-")[2])


def until(what: Callable[[], bool], wait_s: float = 10.0) -> bool:
    """Whether it came true in time."""
    end_s = time.monotonic() + wait_s
    while not what():
        if time.monotonic() > end_s:
            return False
        time.sleep(0.02)
    return True
