"""A container with a porter in it, from its start to its end, and those that are started before they are asked for."""

from __future__ import annotations

import atexit
import json
import os
import socket
import struct
import threading
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from docker.errors import DockerException

from envserver.sandboxes._fork.line import Gone, Refused
from envserver.sandboxes._fork.porter import FRAME
from envserver.sandboxes._fork.walls import Told

__all__ = ["MOUNTS", "Container", "Pool"]

MODULES = (
    "linux", "seccomp", "cgroup", "tree", "walls", "family", "reaper", "spool", "line", "program", "keeper",
    "contained", "porter",
)  # fmt: skip
"""What the porter needs, each after what it imports."""
BOOT = """
import json, sys, types
calls, answers = sys.stdin.buffer, sys.stdout.buffer
told = json.loads(calls.readline())
for name in ("envserver", "envserver.sandboxes", "envserver.sandboxes._fork"):
    sys.modules[name] = types.ModuleType(name)
for name, source in told["modules"].items():
    module = sys.modules["envserver.sandboxes._fork." + name] = types.ModuleType("envserver.sandboxes._fork." + name)
    setattr(sys.modules["envserver.sandboxes._fork"], name, module)
    exec(compile(source, name + ".py", "exec"), module.__dict__)
sys.modules["envserver.sandboxes._fork.porter"].main(calls, answers, told["told"])
"""
LABEL = "turnhalle-sandbox"
STALE_S = 600.0
STDOUT, STDERR = 1, 2
PIECE = struct.Struct("!BxxxI")
"""Head of a piece of an attached stream: which one, and its length."""
MOUNTS = {"/work": "mode=0755,uid=65534,gid=65534,exec", "/tmp": "mode=1777,exec", "/dev/shm": "mode=1777"}


class Container:
    """A started one. Raises Gone where it ends, Refused for what its keeper refused."""

    def __init__(self, api: Any, image: str, limits: dict[str, Any], enforced: dict[str, str], wait_s: float) -> None:
        """Start it. Raises what the engine's client raises, and Gone."""
        self._api = api
        self._said = b""
        self._errors = b""
        made = api.create_container(
            image,
            ["python3", "-s", "-S", "-B", "-c", BOOT],
            environment={"HOME": "/work", "LANG": "C.UTF-8", "PYTHONHASHSEED": "0", "TZ": "UTC"},
            hostname="sandbox",
            host_config=api.create_host_config(**limits),
            labels=[LABEL],
            stdin_open=True,
            user="0",
            working_dir="/work",
        )
        self._id: str = made["Id"]
        try:
            held = api.attach_socket(self._id, {"stdin": 1, "stdout": 1, "stderr": 1, "stream": 1})
            self._held = held  # the engine's client closes the socket with it
            self._stream: socket.socket = getattr(held, "_sock", held)
            self._stream.settimeout(wait_s)
            api.start(self._id)
            told = Told("docker", [], [], {}, {}, "", 0, 0, 0, enforced)
            self._send(json.dumps({"modules": _sources(), "told": asdict(told)}).encode() + b"\n")
            self.enforced: dict[str, str] = self._answer()[0]["enforced"]
        except BaseException:
            self.close()
            raise

    def ask(self, message: dict[str, Any], data: bytes, wait_s: float) -> tuple[dict[str, Any], bytes]:
        """Call the porter; its answer and what follows it."""
        head = json.dumps(message).encode()
        self._stream.settimeout(wait_s)
        self._send(FRAME.pack(len(head), len(data)) + head + data)
        return self._answer()

    def bound_memory(self, memory_bytes: int) -> None:
        """Change what its processes may have."""
        self._api.update_container(self._id, mem_limit=memory_bytes, memswap_limit=memory_bytes)

    def close(self) -> None:
        """End it and take it away; safe to call twice."""
        with suppress(OSError, AttributeError):
            self._stream.close()
        with suppress(DockerException, OSError):
            self._api.remove_container(self._id, force=True, v=True)

    @staticmethod
    def sweep(api: Any) -> None:
        """Take away what a worker that was killed has made and not started; a started one ends by itself."""
        for one in api.containers(all=True, filters={"label": LABEL, "status": "created"}):
            if time.time() - one["Created"] > STALE_S:
                with suppress(DockerException):
                    api.remove_container(one["Id"], force=True)

    def _send(self, data: bytes) -> None:
        try:
            self._stream.sendall(data)
        except OSError as error:
            raise self._gone(error) from None

    def _answer(self) -> tuple[dict[str, Any], bytes]:
        length, follows = FRAME.unpack(self._said_next(FRAME.size))
        answer: dict[str, Any] = json.loads(self._said_next(length))
        data = self._said_next(follows)
        if answer.get("kind") == "Gone":
            raise Gone(answer["failed"])
        if "failed" in answer:
            raise Refused(answer["failed"], answer["kind"])
        return answer, data

    def _said_next(self, count: int) -> bytes:
        """So many bytes of what the porter says, out of the stream's pieces."""
        while len(self._said) < count:
            which, length = PIECE.unpack(self._received(PIECE.size))
            piece = self._received(length)
            if which == STDOUT:
                self._said += piece
            elif which == STDERR:
                self._errors = (self._errors + piece)[-2000:]
        taken, self._said = self._said[:count], self._said[count:]
        return taken

    def _received(self, count: int) -> bytes:
        pieces = bytearray()
        while len(pieces) < count:
            try:
                piece = self._stream.recv(count - len(pieces))
            except OSError as error:
                raise self._gone(error) from None
            if not piece:
                raise self._gone(self._errors.decode(errors="replace").strip()[-300:] or "its container ended")
            pieces += piece
        return bytes(pieces)

    def _gone(self, why: object) -> Gone:
        return Gone(f"the sandbox is gone ({why}) and its files with it; open another")


class Pool:
    """Containers of one kind that wait to be asked for; a fork of this process has none of them."""

    def __init__(self, size: int) -> None:
        self.size = size
        self._ready: list[Container] = []
        self._starting = 0
        self._closed = False
        self._lock = threading.Lock()
        atexit.register(self.close)
        os.register_at_fork(after_in_child=self._forget)

    def take(self, start: Any) -> Container:
        """One that is ready, or else one that is started now; and see to the next."""
        with self._lock:
            taken = self._ready.pop() if self._ready else None
            missing = 0 if self._closed else self.size - len(self._ready) - self._starting
            self._starting += max(0, missing)
        for _ in range(missing):
            threading.Thread(target=self._add, args=(start,), daemon=True).start()
        return taken or start()

    def _add(self, start: Any) -> None:
        container = None
        # What fails here fails again, and is told, when one is asked for.
        with suppress(Exception):
            container = start()
        with self._lock:
            self._starting -= 1
            if container is not None and not self._closed:
                self._ready.append(container)
                return
        if container is not None:
            container.close()

    def close(self) -> None:
        """End those that wait."""
        with self._lock:
            self._closed = True
            waiting, self._ready = self._ready, []
        for container in waiting:
            container.close()

    def _forget(self) -> None:
        self._lock = threading.Lock()
        self._ready, self._starting = [], 0


def _sources() -> dict[str, str]:
    """The porter's modules, as text: an image has none of this project's."""
    here = Path(__file__).parents[1] / "_fork"
    return {name: (here / f"{name}.py").read_text() for name in MODULES}
