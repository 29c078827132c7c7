"""The worker's side of a fork server: starts one for each set of settings, and talks to a keeper for each sandbox.

A fork of this process forgets the servers, which are its parent's; it starts its own.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType

from envserver.sandboxes._fork.line import Gone, Line, Refused
from envserver.sandboxes._fork.walls import Told
from envserver.sandboxes.base import BadInput, Limits, NoSuchFile, Ran, SandboxLost, SandboxUnavailable

__all__ = ["Box", "close_servers", "open_box", "translated"]

OPEN_S = 30.0
"""What a fresh sandbox gets to answer; a loaded machine is slow, a hung one is told."""

# The packages above are only named there, not imported: what is forked from that process knows nothing of this project.
BOOT = """
import socket, sys, types
for name, path in (("envserver", sys.argv[3]), ("envserver.sandboxes", sys.argv[3] + "/sandboxes")):
    sys.modules[name] = types.ModuleType(name)
    sys.modules[name].__path__ = [path]
from envserver.sandboxes._fork.zygote import main
main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
"""

_servers: dict[str, Server] = {}
_lock = threading.Lock()


class Server:
    """A zygote, seen from the worker."""

    def __init__(self, told: Told, interpreter: str) -> None:
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        package = str(Path(__file__).resolve().parents[2])
        command = [interpreter, "-s", "-S", "-P", "-B", "-c", BOOT, str(theirs.fileno()), str(os.getpid()), package]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=told.environment,
            cwd="/",
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(asdict(told)).encode())
            self.process.stdin.close()

    def open(self) -> socket.socket:
        """A keeper's socket. Raises OSError where the zygote is gone."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            try:
                socket.send_fds(self.control, [b"open"], [theirs.fileno()])
            except OSError:
                ours.close()
                raise
        return ours

    def close(self) -> None:
        """End it, and wait until it has cleaned up."""
        self.control.close()
        try:
            self.process.wait(OPEN_S)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Box:
    """One sandbox's keeper, seen from the worker."""

    def __init__(self, link: socket.socket) -> None:
        """Wait until it is there. Raises SandboxUnavailable, SandboxLost."""
        with translated():
            self._line = Line(link, OPEN_S)
        self.enforced: Mapping[str, str] = MappingProxyType(self._line.enforced)

    def run(
        self, arguments: list[str], python: str | None, stdin: bytes, environment: dict[str, str], limits: Limits
    ) -> Ran:
        """See Sandbox.run."""
        job = {"arguments": arguments, "python": python, "environment": environment}
        with translated():
            out, errors, ran = self._line.run(job, stdin, asdict(limits))
        return Ran(out, errors, enforced=self.enforced, **ran)

    def write(self, path: str, data: bytes, executable: bool) -> None:
        """See Sandbox.write."""
        with translated():
            self._line.write(path, data, executable)

    def read(self, path: str, limit_bytes: int) -> bytes:
        """See Sandbox.read."""
        with translated():
            return self._line.read(path, limit_bytes)

    def close(self) -> None:
        """Let the keeper end; safe to call twice."""
        self._line.close()


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """What a line raises, as the contract's errors."""
    try:
        yield
    except Gone as error:
        raise SandboxLost(str(error)) from None
    except Refused as error:
        kinds = {"Unavailable": SandboxUnavailable, "Unlocked": SandboxUnavailable, "NoFile": NoSuchFile}
        raise kinds.get(error.kind, BadInput)(str(error)) from None


def open_box(told: Told, interpreter: str) -> Box:
    """A fresh sandbox of the server of these settings, which is started where none runs. Raises SandboxUnavailable."""
    key = json.dumps(asdict(told), sort_keys=True)
    for _ in range(3):
        with _lock:
            server = _servers.get(key)
            if server is not None and server.process.poll() is not None:
                server.close()
                server = None
            if server is None:
                server = _servers[key] = Server(told, interpreter)
        try:
            return Box(server.open())
        except (OSError, SandboxLost):
            server.process.kill()
            server.process.wait()
    raise SandboxUnavailable("the sandboxes' fork server ended three times over; its errors stand on standard error")


def close_servers() -> None:
    """End every server of this process, and what is left of their sandboxes."""
    with _lock:
        while _servers:
            _servers.popitem()[1].close()


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    for server in _servers.values():
        server.control.close()
        server.process.returncode = 0  # or its end would be waited for here, where it is no child
    _servers.clear()


os.register_at_fork(after_in_child=_forget)
atexit.register(close_servers)
if sys.platform != "linux":
    raise ImportError("fork servers need Linux")
