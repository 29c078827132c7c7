"""Other projects' own servers with the null world in them, each from a virtual environment of its own."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from envserver.envs.null import SEEN

__all__ = ["PEERS", "installed", "served"]

PEERS = {"openenv": "OpenEnv", "nemo": "NeMo Gym", "ors": "ORS"}
"""Virtual environment, as `make test-peers` names it -> whose server it has; `NAME_peer.py` serves it."""
START_S = 120.0


def installed(peer: str) -> bool:
    """Whether its virtual environment is there, with the peer in it (NeMo Gym wants a newer Python than we do)."""
    found = _python(peer)
    return found.exists() and any(found.parents[1].glob(f"lib/python*/site-packages/{MODULES[peer]}"))


@contextmanager
def served(peer: str) -> Iterator[tuple[int, int]]:
    """A running server of a peer: its port and its process id."""
    with tempfile.TemporaryDirectory(prefix=f"{peer}-") as directory:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        reply = Path(directory) / "reply"
        reply.write_text(SEEN.model_dump_json())
        script = Path(__file__).with_name(f"{peer}_peer.py")
        environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        process = subprocess.Popen([_python(peer), script, str(port), reply], env=environ, cwd=directory)
        try:
            give_up = time.monotonic() + START_S
            while True:
                try:
                    socket.create_connection(("127.0.0.1", port), 1).close()
                    break
                except OSError:
                    if process.poll() is not None or time.monotonic() > give_up:
                        raise RuntimeError(f"{PEERS[peer]}'s server did not start; its message is above") from None
                    time.sleep(0.1)
            yield port, process.pid
        finally:
            process.kill()
            process.wait()


MODULES = {"openenv": "openenv", "nemo": "nemo_gym", "ors": "openreward"}


def _python(peer: str) -> Path:
    return Path(os.environ.get("TURNHALLE_VENVS", ".venvs")).absolute() / peer / "bin" / "python"
