"""What a program writes, gathered from two pipes: up to a bound, then the pipes are closed.

Closed first and killed then: a writer that is never read would keep its killer waiting.
"""

from __future__ import annotations

import contextlib
import os
import select
import socket
import time
from typing import Self

__all__ = ["Spool"]

PIECE_BYTES = 1 << 16


class Spool:
    """Standard output and errors of one run."""

    def __init__(self, limit_bytes: int) -> None:
        self._left_bytes = limit_bytes
        self._pieces: dict[int, list[bytes]] = {}
        self.cut = False
        self._open: set[int] = set()
        self.ends: list[int] = []
        """The two ends that the program writes to."""
        for _ in range(2):
            reader, writer = os.pipe()
            os.set_blocking(reader, False)
            self._pieces[reader] = []
            self._open.add(reader)
            self.ends.append(writer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close_ends()
        self._close_readers()

    def fill(self, until: socket.socket, wait_s: float) -> bool:
        """Read until there is word on `until`, or for so long; False where the program wrote too much and was cut."""
        self._close_ends()
        poll = select.poll()
        poll.register(until, select.POLLIN)
        for reader in self._open:
            poll.register(reader, select.POLLIN)
        end_s = time.monotonic() + wait_s
        while (left_s := end_s - time.monotonic()) > 0:
            for descriptor, _ in poll.poll(left_s * 1000):
                if descriptor == until.fileno():
                    return True
                if not self._take(descriptor):
                    poll.unregister(descriptor)
            if self.cut:
                return False
        return True

    def drain(self, wait_s: float) -> None:
        """Read what is left once every writer is gone."""
        end_s = time.monotonic() + wait_s
        while self._open and (left_s := end_s - time.monotonic()) > 0:
            ready, _, _ = select.select(list(self._open), [], [], left_s)
            for reader in ready:
                self._take(reader)

    def written(self) -> tuple[bytes, bytes]:
        """Standard output and errors."""
        out, errors = (b"".join(pieces) for pieces in self._pieces.values())
        return out, errors

    def _take(self, reader: int) -> bool:
        """Read once; False where this was the end."""
        if reader not in self._open:
            return False
        try:
            piece = os.read(reader, PIECE_BYTES)
        except BlockingIOError:
            return True
        if not piece:
            self._open.discard(reader)
            os.close(reader)
            return False
        self._pieces[reader].append(piece[: self._left_bytes])
        self.cut = len(piece) > self._left_bytes
        self._left_bytes -= min(len(piece), self._left_bytes)
        if self.cut:
            self._close_readers()
        return not self.cut

    def _close_ends(self) -> None:
        while self.ends:
            os.close(self.ends.pop())

    def _close_readers(self) -> None:
        while self._open:
            with contextlib.suppress(OSError):
                os.close(self._open.pop())
