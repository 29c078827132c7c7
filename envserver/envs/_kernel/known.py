"""What references took before, by device and version: a file each, named by source, device, threads and torch.

Speed-ups are of pairs and never of what stands here, which was measured at another time. It plans a timing: where it is
known how long a call takes, a round has as many calls as it needs from the first on, and warming up takes fewer rounds.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import tempfile
from importlib.metadata import version
from pathlib import Path

from envserver.envs._kernel.compiling import cache_root

__all__ = ["known", "learn"]

KEPT = 9
"""Measurements that are kept of a reference, the latest; their median is what is known."""


def known(source: str, device: str, threads: int) -> float | None:
    """Milliseconds of a call on this machine's device with this torch; None where it was never timed so."""
    times = _read(_path(source, device, threads))
    return sorted(times)[len(times) // 2] if times else None


def learn(source: str, device: str, threads: int, took_ms: float) -> None:
    """Remember a measurement, where the cache can be written. Two who learn at once keep one of both."""
    path = _path(source, device, threads)
    with contextlib.suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
            json.dump([*_read(path), took_ms][-KEPT:], file)
        os.replace(file.name, path)


def _read(path: Path) -> list[float]:
    """Nothing, too, where the file is broken."""
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(path.read_bytes())
        if isinstance(found, list) and all(isinstance(one, float) and one > 0 for one in found):
            return found
    return []


def _path(source: str, device: str, threads: int) -> Path:
    told = json.dumps([source, _name(device), threads if device == "cpu" else 0, version("torch")])
    return cache_root() / "references" / f"{hashlib.sha256(told.encode()).hexdigest()}.json"


@functools.cache
def _name(device: str) -> str:
    """The processor's or the GPUs' names."""
    files, word = [Path("/proc/cpuinfo")], "model name"
    if device == "cuda":
        files, word = sorted(Path("/proc/driver/nvidia/gpus").glob("*/information")), "Model"
    lines = {line.strip() for file in files for line in file.read_text().splitlines() if line.startswith(word)}
    return f"{device} {sorted(lines)}"
