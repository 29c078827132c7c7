"""What lies on the host for a program to reach: a file, a variable, a process, two listeners; gone at the end."""

from __future__ import annotations

import contextlib
import os
import secrets
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import envserver

__all__ = ["laid_out"]


@contextlib.contextmanager
def laid_out() -> Iterator[dict[str, Any]]:
    """The bait's description, as programs are told of it; their limits are added by who runs them."""
    secret = secrets.token_hex(16)
    with contextlib.ExitStack() as held:
        directory = held.enter_context(tempfile.TemporaryDirectory(prefix="turnhalle-bait-"))
        os.chmod(directory, 0o777)
        file = Path(directory, "answers")
        file.write_text(secret)
        file.chmod(0o666)
        listener = held.enter_context(socket.create_server(("127.0.0.1", 0)))
        abstract = held.enter_context(socket.socket(socket.AF_UNIX))
        name = f"turnhalle-bait-{secrets.token_hex(4)}"
        if sys.platform == "linux":
            abstract.bind(f"\0{name}")
            abstract.listen()
        os.environ["TURNHALLE_BAIT"] = secret  # a process started from here would inherit it
        held.callback(os.environ.pop, "TURNHALLE_BAIT", None)
        victim = subprocess.Popen(["sleep", f"600.{int(secret[:4], 16)}"])
        held.callback(victim.wait)
        held.callback(victim.kill)
        yield {
            # Backwards: a program that is told what to look for would find what it was told.
            "secret": secret[::-1],
            "secret_file": str(file),
            "directory": directory,
            "port": listener.getsockname()[1],
            "abstract": name,
            "victim": victim.pid,
            "marker": f"600.{int(secret[:4], 16)}",
            "project": envserver.__file__,
        }
