"""The worker's side of a fork server: starts one for each set of settings, and talks to a keeper for each sandbox.

A fork of this process forgets the servers, which are its parent's; it starts its own.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Any

from envserver.sandboxes._fork.spool import Spool
from envserver.sandboxes._fork.walls import Told
from envserver.sandboxes.base import BadInput, Limits, NoSuchFile, Ran, SandboxLost, SandboxUnavailable

__all__ = ["Box", "close_servers", "open_box"]

OPEN_S = 30.0
"""What a fresh sandbox gets to answer; a loaded machine is slow, a hung one is told."""
SLACK_S = 10.0
"""What a keeper gets beyond a run's own time."""
MESSAGE_BYTES = 1 << 16
PIECE_BYTES = 1 << 20

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
        self._link = link
        self._disk: dict[str, int] = {}
        link.settimeout(OPEN_S)
        self.enforced: Mapping[str, str] = MappingProxyType(self._answer()["enforced"])

    def run(
        self, arguments: list[str], python: str | None, stdin: bytes, environment: dict[str, str], limits: Limits
    ) -> Ran:
        """See Sandbox.run."""
        job = {"arguments": arguments, "python": python, "environment": environment}
        asked = {name: value for name, value in asdict(limits).items() if name != "output_bytes"}
        with contextlib.ExitStack() as held:
            given = [_in_memory("job", json.dumps(job).encode()), _in_memory("stdin", stdin)]
            spool = held.enter_context(Spool(limits.output_bytes))
            try:
                self._tell({"do": "run", **asked}, [*given, *spool.ends])
            finally:
                for descriptor in given:
                    os.close(descriptor)
            if not spool.fill(self._link, limits.wall_s + SLACK_S):
                self._tell({"do": "kill"})
            self._link.settimeout(SLACK_S)
            ran = self._answer()["ran"]
            spool.drain(SLACK_S)
            if spool.cut:  # whether it noticed the closed pipe before it was killed is chance
                ran |= {"code": None, "signal": signal.SIGKILL.value}
        return Ran(*spool.written(), cut=spool.cut, enforced=self.enforced, **ran)

    def write(self, path: str, data: bytes, executable: bool, limits: Limits) -> None:
        """See Sandbox.write."""
        told = {"path": path, "executable": executable, "disk_bytes": limits.disk_bytes, "files": limits.files}
        file = self._ask_file({"do": "write", **told})
        try:
            with open(file, "wb", buffering=0) as out:
                left = memoryview(data)
                while left:
                    left = left[out.write(left[:PIECE_BYTES]) :]
        except OSError as error:
            self._ask({"do": "discard"})
            raise BadInput(f"{path!r:.200} of {len(data)} bytes was not written: {error.strerror}") from None
        self._ask({"do": "place"})

    def read(self, path: str, limit_bytes: int) -> bytes:
        """See Sandbox.read."""
        with open(self._ask_file({"do": "read", "path": path}), "rb") as file:
            data = file.read(limit_bytes + 1)
            if len(data) > limit_bytes:
                size = os.fstat(file.fileno()).st_size
                raise BadInput(f"{path!r:.200} holds {size} bytes, more than the {limit_bytes} that were asked for")
        return data

    def close(self) -> None:
        """Let the keeper end; safe to call twice."""
        self._link.close()

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self._tell(message)
        return self._answer()

    def _ask_file(self, message: dict[str, Any]) -> int:
        self._tell(message)
        files: list[int] = []
        self._answer(files)
        return files[0]

    def _tell(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        try:
            self._link.settimeout(SLACK_S)
            socket.send_fds(self._link, [json.dumps(message).encode()], descriptors or [])
        except (OSError, ValueError) as error:
            raise self._lost(error) from None

    def _answer(self, files: list[int] | None = None) -> dict[str, Any]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._link, MESSAGE_BYTES, 1)
        except OSError as error:
            raise self._lost(error) from None
        if not data:
            raise self._lost("its keeper ended")
        if files is not None:
            files.extend(descriptors)
        answer: dict[str, Any] = json.loads(data)
        if "failed" in answer:
            kinds = {"Unavailable": SandboxUnavailable, "Unlocked": SandboxUnavailable, "NoFile": NoSuchFile}
            kind = kinds.get(answer["kind"], BadInput)
            raise kind(answer["failed"])
        return answer

    def _lost(self, why: object) -> SandboxLost:
        self._link.close()
        return SandboxLost(f"the sandbox is gone ({why}) and its files with it; open another")


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


def _in_memory(name: str, data: bytes) -> int:
    """A descriptor of a file in memory that holds `data` and cannot be changed."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left[:PIECE_BYTES]) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor


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
