"""The asking side of a keeper's socket: what is run, read and written passes through here as bytes."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import signal
import socket
from typing import Any

from envserver.sandboxes._fork.spool import Spool

__all__ = ["Gone", "Line", "Refused"]

SLACK_S = 10.0
"""What a keeper gets beyond a run's own time."""
MESSAGE_BYTES = 1 << 16
PIECE_BYTES = 1 << 20


class Refused(Exception):
    """Raised for what the keeper refused; `kind` is the name of its error."""

    def __init__(self, text: str, kind: str) -> None:
        super().__init__(text)
        self.kind = kind


class Gone(Exception):
    """Raised where the keeper does not answer."""


class Line:
    """One keeper. Raises Gone from every method, and Refused."""

    def __init__(self, link: socket.socket, wait_s: float) -> None:
        """Wait until it is there."""
        self._link = link
        link.settimeout(wait_s)
        self.enforced: dict[str, str] = self._answer()["enforced"]

    def run(self, job: dict[str, Any], stdin: bytes, limits: dict[str, Any]) -> tuple[bytes, bytes, dict[str, Any]]:
        """Output, errors, and how the program ended."""
        asked = {name: value for name, value in limits.items() if name != "output_bytes"}
        with Spool(limits["output_bytes"]) as spool:
            given = [_sealed("job", json.dumps(job).encode()), _sealed("stdin", stdin)]
            try:
                self._tell({"do": "run", **asked}, [*given, *spool.ends])
            finally:
                for descriptor in given:
                    os.close(descriptor)
            if not spool.fill(self._link, limits["wall_s"] + SLACK_S):
                self._tell({"do": "kill"})
            self._link.settimeout(SLACK_S)
            ran = {**self._answer()["ran"], "cut": spool.cut}
            spool.drain(SLACK_S)
            if spool.cut:  # whether it noticed the closed pipe before it was killed is chance
                ran |= {"code": None, "signal": signal.SIGKILL.value}
            return *spool.written(), ran

    def write(self, path: str, data: bytes, executable: bool) -> None:
        """Put a file there, or nothing."""
        self._tell({"do": "write", "path": path, "executable": executable})
        try:
            with open(self._file(), "wb", buffering=0) as out:
                left = memoryview(data)
                while left:
                    left = left[out.write(left[:PIECE_BYTES]) :]
        except OSError as error:
            self._ask({"do": "discard"})
            raise Refused(f"{path!r:.200} of {len(data)} bytes was not written: {error.strerror}", "BadPath") from None
        self._ask({"do": "place"})

    def read(self, path: str, limit_bytes: int) -> bytes:
        """A file of so many bytes at most."""
        self._tell({"do": "read", "path": path})
        with open(self._file(), "rb") as file:
            data = file.read(limit_bytes + 1)
            if len(data) > limit_bytes:
                size = os.fstat(file.fileno()).st_size
                text = f"{path!r:.200} holds {size} bytes, more than the {limit_bytes} that were asked for"
                raise Refused(text, "BadPath")
        return data

    def close(self) -> None:
        """Let the keeper end; safe to call twice."""
        self._link.close()

    def _ask(self, message: dict[str, Any]) -> dict[str, Any]:
        self._tell(message)
        return self._answer()

    def _tell(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        try:
            self._link.settimeout(SLACK_S)
            socket.send_fds(self._link, [json.dumps(message).encode()], descriptors or [])
        except (OSError, ValueError) as error:
            raise self._gone(error) from None

    def _answer(self, files: list[int] | None = None) -> dict[str, Any]:
        try:
            data, descriptors, _, _ = socket.recv_fds(self._link, MESSAGE_BYTES, 1)
        except OSError as error:
            raise self._gone(error) from None
        if not data:
            raise self._gone("its keeper ended")
        if files is not None:
            files.extend(descriptors)
        answer: dict[str, Any] = json.loads(data)
        if "failed" in answer:
            raise Refused(answer["failed"], answer["kind"])
        return answer

    def _file(self) -> int:
        files: list[int] = []
        self._answer(files)
        return files[0]

    def _gone(self, why: object) -> Gone:
        self._link.close()
        return Gone(f"the sandbox is gone ({why}) and its files with it; open another")


def _sealed(name: str, data: bytes) -> int:
    """A descriptor of a file in memory that holds `data` and cannot be changed."""
    descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left[:PIECE_BYTES]) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_SEAL
    with contextlib.suppress(OSError):  # gVisor's has none
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
    return descriptor
