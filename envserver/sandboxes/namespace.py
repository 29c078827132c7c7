"""Sandbox of Linux namespaces, the default: a root, a disk, a network and a process tree of its own for each session.

Programs run in children that were forked and locked in beforehand from a fresh process that has read no secret; each
runs one program and ends. It needs Linux 5.12 and the right to make user namespaces, as root or not.

What it does not hold: it shares the host's kernel, so a fault in that is a way out; the filter of system calls refuses
what is known to be dangerous and not all that is unneeded. Where no control group can be made (`enforced` says so)
memory and CPU time are bounded for each process, and of all together are looked at twenty times a second: what is
taken in between is had. CPU caches and the clock are shared, so programs can measure each other. /proc tells the host's
processor, memory and uptime, and /proc/mounts the paths of what is shown from the host: the system's directories and
the Python this runs in, without its packages.
"""

from __future__ import annotations

from envserver.sandboxes._fork.forked import Forked

__all__ = ["Namespace"]


class Namespace(Forked):
    """Namespaces, control groups, a filter of system calls; a program starts in a few milliseconds."""

    walls = "namespace"
