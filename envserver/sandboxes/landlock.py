"""Sandbox of Landlock rules, where a host refuses namespaces, as inside a container with its engine's usual profile.

Programs run in children that were forked and locked in beforehand from a fresh process that has read no secret; each
runs one program and ends. It needs Linux 6.12 (Landlock 6). Started by root, every sandbox is a user of its own.

What it does not hold, beside what `namespace` does not: the disk is the host's, in its temporary directory, and is
looked at twenty times a second while a program runs; one that holds too much then is ended (SIGXFSZ), but had what it
could write in between. Names in directories of packages and of this project can be listed, where the
Python this runs in lies in one tree with them; their files cannot be opened. Unless it is started by root or can make
control groups, the number of processes is looked at in the same way, as are memory and CPU time of all together.
"""

from __future__ import annotations

from envserver.sandboxes._fork.forked import Forked

__all__ = ["Landlock"]


class Landlock(Forked):
    """Landlock rules, a filter of system calls, no network; for hosts without namespaces."""

    walls = "landlock"
