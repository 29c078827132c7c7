"""A process that ends with its parent."""

from __future__ import annotations

import ctypes
import os
import signal
import sys

__all__ = ["end_with"]

PR_SET_PDEATHSIG = 1


def end_with(parent: int) -> None:
    """Have the kernel kill this process when its parent goes (Linux); elsewhere it has to notice by itself."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(1)
