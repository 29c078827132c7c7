"""What a run's processes use together, read from /proc: for hosts that let us make no control group.

Looked at now and then, so what is used in between is seen late or not at all.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

__all__ = ["Family", "Used"]

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")
TICKS_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Used:
    """Of all processes together."""

    cpu_s: float
    memory_bytes: int
    """Of what each has beyond the first, from which they were forked with its pages."""
    processes: int
    """And threads."""


class Family:
    """A process and all below it."""

    def __init__(self, first: int) -> None:
        self.first = first
        self.inherited_bytes = _resident_bytes(first)

    def used(self) -> Used:
        """What they use at this moment."""
        ticks = memory_bytes = processes = 0
        pids = [self.first]
        for pid in pids:
            try:
                with open(f"/proc/{pid}/stat", "rb") as file:
                    stat = file.read().rpartition(b")")[2].split()
                for thread in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{thread}/children", "rb") as file:
                        pids.extend(int(word) for word in file.read().split())
            except OSError:
                continue  # it ended meanwhile
            # Its own, and that of those below which it has waited for.
            ticks += sum(int(word) for word in stat[11:15])
            processes += int(stat[17])
            memory_bytes += max(0, int(stat[21]) * PAGE_BYTES - self.inherited_bytes)
        return Used(ticks / TICKS_S, memory_bytes, processes)


def _resident_bytes(pid: int) -> int:
    with open(f"/proc/{pid}/statm", "rb") as file:
        return int(file.read().split()[1]) * PAGE_BYTES
