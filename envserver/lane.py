"""A short way through uvicorn for frames that can be answered where they are read.

uvicorn's WebSocket costs a generator of a parser, a queue, a task switch, and a pause and resume of reading for every
frame: more than a step of a trivial world. Here a whole frame goes from the socket to the endpoint, and its
answer back, in one turn of the loop. Whatever is anything else, cannot be answered at once or meets a full write buffer
takes the ASGI way, byte for byte as it came. Where uvicorn is not built as this file knows it, everything does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

__all__ = ["LANE", "TEXT", "WEBSOCKET", "Take"]

LANE = "envserver.lane"
"""The ASGI extension: `offer`, which an endpoint gives its Take and its frames' kind to once it has accepted; and
`send`, which sends such frames at once, or says False where they have to take the ASGI way."""

Take = Callable[[bytes], list[bytes] | None]
"""The frames that answer one, of its own kind; None where it has to take the ASGI way."""

WEBSOCKET: Any = "auto"
"""What uvicorn's `ws` setting should be."""

TEXT, BINARY = 0x81, 0x82
"""First byte of a message in one frame of text, or binary. A Take that meets a text that is no UTF-8 answers None."""
SHORT_BYTES = 1 << 18
"""A frame longer than this is not waited for here."""
WRITE_BYTES = 1 << 16
"""Answers that are written at once, so that a client that does not read is noticed."""

try:
    from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
    from websockets.protocol import State
    from websockets.speedups import apply_mask
except ImportError:
    pass
else:

    class Lane(WebSocketsSansIOProtocol):
        """uvicorn's WebSocket protocol, with a short way once the endpoint has given its Take."""

        _take: Take | None = None
        _kind = BINARY
        _held = b""
        """The beginning of a short frame that is not all there."""
        _owed = 0
        """Bytes still to come of a frame that goes the ASGI way."""
        _early = False
        """Whether there were bytes before the endpoint accepted: where a frame begins is then the parser's secret."""

        def __init__(self, *options: Any, **more: Any) -> None:
            super().__init__(*options, **more)
            self._answers: list[bytes] = []
            self._answers_bytes = 0
            self._due = DUE.setdefault(self.loop, [])

        async def send(self, message: Any) -> None:
            """Send what is due, then this."""
            self._write()
            await super().send(message)
            # uvicorn holds a refusal by an HTTP response for no answer, and says so in the log.
            if self.initial_response is not None and self.close_sent:
                self.handshake_complete = True

        def handle_connect(self, event: Any) -> None:
            """Offer the lane to the endpoint, whose task begins after this."""
            super().handle_connect(event)
            if all(hasattr(self, name) for name in ("scope", "conn", "config", "read_paused", "writable", "transport")):
                self.scope["extensions"][LANE] = {"offer": self._offer, "send": self._sent}

        def data_received(self, data: bytes) -> None:
            """Answer here what can be answered here."""
            if self._take is None:
                self._early = self._early or self.handshake_initiated
                super().data_received(data)
                return
            if self._held:
                data, self._held = self._held + data, b""
            start, size = self._owed, len(data)
            # Nearly every read is one whole masked frame of at most 64 KiB.
            if not start and size > 8:
                length, body = data[1] - 0x80, 6
                if length > 125:
                    length, body = data[2] << 8 | data[3] if length == 126 else -1, 8
                if length == size - body:
                    if not self._answered(data, 0, body, size):
                        self._write()
                        super().data_received(data)
                    elif self._answers:
                        self._later()
                    return
            if start:
                super().data_received(data[:start])
                self._owed = max(0, start - size)
            while start < size:
                payload = _payload(data, start, size)
                if payload is None or (payload[1] > size and payload[1] - start <= SHORT_BYTES):
                    self._held = data[start:]
                    break
                end = payload[1]
                if end > size or not self._answered(data, start, *payload):
                    self._write()
                    super().data_received(data[start:end])
                    self._owed = max(0, end - size)
                start = end
            if self._answers:
                self._later()

        def _later(self) -> None:
            """Write once this turn of the loop has read every connection.

            A write between two steps wakes a client that has but one answer to read, and costs more than the step.
            """
            if not self._due:
                self.loop.call_soon(_write_all, self._due)
            self._due.append(self)

        def _offer(self, take: Take, kind: int = BINARY) -> None:
            self._kind = kind
            if not self._early:
                self._take = take

        def _answered(self, data: bytes, start: int, body: int, end: int) -> bool:
            """Whether the frame is answered."""
            if (
                data[start] != self._kind
                or data[start + 1] < 0x80
                or end - body > self.config.ws_max_size
                or self.read_paused
                or not self._sendable()
            ):
                return False
            assert self._take is not None
            answers = self._take(apply_mask(data[body:end], data[body - 4 : body]))
            if answers is None:
                return False
            for answer in answers:
                length = len(answer)
                self._answers += (_head(length, self._kind), answer)
                self._answers_bytes += length
            if self._answers_bytes > WRITE_BYTES:
                self._write()
            return True

        def _write(self) -> None:
            """Write what is due."""
            if self._answers:
                if not self.transport.is_closing():
                    self.transport.write(b"".join(self._answers))
                self._answers.clear()
                self._answers_bytes = 0

        def _sent(self, frames: list[bytes]) -> bool:
            """Whether the frames are sent."""
            if not self._sendable():
                return False
            self._answers += [part for frame in frames for part in (_head(len(frame), self._kind), frame)]
            self._write()
            return True

        def _sendable(self) -> bool:
            return self.conn.state is State.OPEN and self.writable.is_set() and not self.transport.is_closing()

    DUE: WeakKeyDictionary[asyncio.AbstractEventLoop, list[Lane]] = WeakKeyDictionary()
    """The lanes of an event loop with answers to write."""

    def _write_all(due: list[Lane]) -> None:
        lanes = due[:]
        due.clear()
        for lane in lanes:
            lane._write()

    WEBSOCKET = Lane


def _payload(data: bytes, start: int, size: int) -> tuple[int, int] | None:
    """Where a frame's payload begins and ends; None where its head is not all there."""
    body = start + 2
    if body > size:
        return None
    length = data[start + 1] & 0x7F
    if length > 125:
        width = 2 if length == 126 else 8
        if body + width > size:
            return None
        length = int.from_bytes(data[body : body + width])
        body += width
    if data[start + 1] & 0x80:
        body += 4
    return (body, body + length) if body <= size else None


def _head(length: int, kind: int) -> bytes:
    """The head of a server's frame."""
    if length < 126:
        return bytes((kind, length))
    if length < 1 << 16:
        return bytes((kind, 126)) + length.to_bytes(2)
    return bytes((kind, 127)) + length.to_bytes(8)
