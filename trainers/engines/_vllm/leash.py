"""`python leash.py COMMAND...` runs a command that ends, with all it started, when this process' standard input does.

Whoever holds the other end of the pipe may die of anything: the pipe closes. A command that ends takes what it started
along. The standard library alone.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time

GOODBYE_S = 10.0
"""What the command gets to end after SIGTERM."""


def main() -> None:
    """Hold the command; the group is ours, so killing it ends everybody in it, this process last."""
    for one in (signal.SIGINT, signal.SIGTERM):
        signal.signal(one, lambda *_: None)  # the pipe says when; what is ignored would be ignored by the command, too
    command = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL)
    while command.poll() is None:
        if select.select([0], [], [], 0.2)[0] and not os.read(0, 1):
            command.terminate()
            deadline = time.monotonic() + GOODBYE_S
            while command.poll() is None and time.monotonic() < deadline:
                time.sleep(0.05)
            break
    print(f"the command ended with code {command.poll()}", file=sys.stderr, flush=True)
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    main()
