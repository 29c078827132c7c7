"""The load: many sessions that send a step, wait for its result and send the next, for some seconds.

`python -m envserver.bench.load` reads a Load as JSON on stdin and prints a Measured as JSON. It speaks WebSocket with
nothing in between, since a load generator that is slower than the server measures itself: a request is spliced from
bytes, of an answer only the results are counted, and every hundredth is decoded, however the sessions are driven.
"""

from __future__ import annotations

import asyncio
import gc
import json
import os
import sys
import time
from dataclasses import asdict, dataclass
from typing import Literal, cast

from envserver.bench.apart import apart
from envserver.bench.report import percentile
from envserver.schema import StepResult

__all__ = ["Load", "Measured", "drive", "main"]

NUMBER = b"NUMBER"
ACTION = b'{"text":"go to room 7 and look around"}'
STEP = b'{"id":NUMBER,"verb":"step","session":"%b","body":{"index":NUMBER,"action":' + ACTION + b"}}"
CHECK_EVERY = 100
"""Answers of which one is decoded."""

How = Literal["frame", "turns", "flight"]


@dataclass(frozen=True)
class Load:
    """What to send, where and for how long."""

    port: int
    sessions: int
    seconds: float
    opens: bool
    """False: the floor, which has no sessions to open."""
    batch: int = 1
    """Sessions that share a connection."""
    how: How = "frame"
    """How they share it: all in one frame, one after another, or each with a call of its own in flight."""
    core: int | None = None


@dataclass(frozen=True)
class Measured:
    """What came back."""

    steps_s: float
    """Steps a second."""
    p50_ms: float
    p99_ms: float
    frame_errors: int
    total: int
    """Steps played in all, the unmeasured ones too."""


class Player(asyncio.Protocol):
    """One connection: a frame out, its answer back, the next frame out."""

    def __init__(self, load: Load, number: int, clock: Clock) -> None:
        self.names = [b"bench-%d-%d" % (number, place) for place in range(load.batch)]
        self.steps = [(STEP % name).split(NUMBER) for name in self.names]
        steps = [STEP % name for name in self.names]
        self.frame = (steps[0] if len(steps) == 1 else b"[%b]" % b",".join(steps)).split(NUMBER)
        self.how = load.how if load.batch > 1 else "frame"
        self.clock = clock
        self.data = b""
        self.number = 0
        """Frames sent, or steps sent where each is a frame."""
        self.sent = [0.0] * len(self.names)
        self.reply: asyncio.Future[bytes] | None = None
        self.transport: asyncio.Transport
        self.upgraded = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)

    async def ask(self, frame: bytes) -> bytes:
        """One answer, outside the measured time."""
        self.reply = asyncio.get_running_loop().create_future()
        self.transport.write(frame)
        return await asyncio.wait_for(self.reply, 60)

    def play(self) -> None:
        """Send the first step of each session that begins."""
        first = len(self.names) if self.how == "flight" else 1
        self.transport.write(b"".join([self.frame_at(number) for number in range(first)]))

    def frame_at(self, number: int) -> bytes:
        """Frame `number`: a step of all, or that of the session whose turn it is."""
        if self.how == "frame":
            self.number, self.sent[0] = number, time.perf_counter()
            return framed((b"%d" % number).join(self.frame))
        index, place = divmod(number, len(self.names))
        self.number, self.sent[place] = number, time.perf_counter()
        head, middle, tail = self.steps[place]
        return framed(b"%b%d%b%d%b" % (head, number, middle, index, tail))

    def took(self, payload: bytes) -> bytes:
        """Count an answer; the frame that follows it."""
        number, place, steps, ahead = self.number, 0, 1, 1
        if self.how == "frame":
            steps = len(self.names)
        else:
            number = int(payload[len(b'{"id":') : payload.index(b",")])
            place = number % len(self.names)
            ahead = len(self.names) if self.how == "flight" else 1
        self.clock.count(time.perf_counter() - self.sent[place], payload, steps)
        return self.frame_at(number + ahead)

    def data_received(self, data: bytes) -> None:
        data = self.data + data if self.data else data
        frames = []
        while data:
            if not self.upgraded:
                head, end, rest = data.partition(b"\r\n\r\n")
                whole = bool(end)
                payload = head
            else:
                payload, rest, whole = unframed(data)
            if not whole:
                break
            data = rest
            if self.reply is not None:
                reply, self.reply = self.reply, None
                self.upgraded = True
                reply.set_result(payload)
            elif self.clock.going:
                frames.append(self.took(payload))
        self.data = data
        if frames:
            self.transport.write(b"".join(frames))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.clock.going:
            self.clock.errors += 1


class Clock:
    """Counts what comes back while the measured time runs."""

    def __init__(self) -> None:
        self.going = True
        self.counting = False
        self.frames = 0
        self.total = 0
        self.steps = 0
        self.errors = 0
        self.times_s: list[float] = []

    def count(self, time_s: float, payload: bytes, steps: int) -> None:
        self.frames += 1
        if payload.count(b'"ok":{"observation":') != steps or (
            self.frames % CHECK_EVERY == 0 and not _played(payload, steps)
        ):
            self.errors += 1
        self.total += steps
        if self.counting:
            self.steps += steps
            self.times_s.append(time_s)


def _played(payload: bytes, steps: int) -> bool:
    """Whether each answer is a whole result of the null world."""
    answers = json.loads(payload)
    answers = answers if isinstance(answers, list) else [answers]
    seen = [StepResult.model_validate(answer["ok"]).observation for answer in answers]
    return len(seen) == steps and all(len(one.text) == 785 and len(one.choices) == 20 for one in seen)


def framed(payload: bytes, kind: int = 0x82) -> bytes:
    """A client's frame, binary unless said; the mask is zero, which leaves the payload as it is."""
    size = len(payload)
    if size < 126:
        head = bytes((kind, 0x80 | size))
    elif size < 65536:
        head = bytes((kind, 0xFE)) + size.to_bytes(2)
    else:
        head = bytes((kind, 0xFF)) + size.to_bytes(8)
    return head + b"\0\0\0\0" + payload


def unframed(data: bytes) -> tuple[bytes, bytes, bool]:
    """A server frame's payload, what follows it, and whether all of it is there."""
    if len(data) < 2:
        return b"", data, False
    size, start = data[1], 2
    if size == 126:
        size, start = int.from_bytes(data[2:4]), 4
    elif size == 127:
        size, start = int.from_bytes(data[2:10]), 10
    end = start + size
    if len(data) < start or len(data) < end:
        return b"", data, False
    return data[start:end], data[end:], True


UPGRADE = (
    b"GET /v1/ws HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)


async def play(load: Load) -> Measured:
    """Connect, open, warm up, measure."""
    loop, clock, gate = asyncio.get_running_loop(), Clock(), asyncio.Semaphore(32)

    async def ready(number: int) -> Player:
        async with gate:
            _, player = await loop.create_connection(lambda: Player(load, number, clock), "127.0.0.1", load.port)
            head = await player.ask(UPGRADE)
            if b" 101 " not in head.partition(b"\r\n")[0]:
                raise ConnectionError(f"the server did not upgrade: {head[:80]!r}")
            for name in player.names if load.opens else ():
                task = {"env": "null", "key": "null/train/0"}
                body = {"id": 0, "verb": "open", "body": {"task": task, "session": name.decode()}}
                answer = await player.ask(framed(json.dumps(body).encode()))
                if b'"ok"' not in answer[:40]:
                    raise ConnectionError(f"a session did not open: {answer[:200]!r}")
            return player

    players = await asyncio.gather(*(ready(number) for number in range(load.sessions // load.batch)))
    gc.collect()
    gc.disable()
    for player in players:
        player.play()
    await asyncio.sleep(min(0.5, load.seconds / 3))
    clock.counting, began = True, time.perf_counter()
    await asyncio.sleep(load.seconds)
    clock.counting, took_s = False, time.perf_counter() - began
    await asyncio.sleep(0)
    clock.going = False
    for player in players:
        if load.opens:
            closing = [b'{"id":0,"verb":"close","session":"%b"}' % name for name in player.names]
            player.transport.write(framed(b"[%b]" % b",".join(closing)))
    await asyncio.sleep(0.2)
    for player in players:
        player.transport.close()
    return Measured(
        steps_s=clock.steps / took_s,
        p50_ms=1000 * percentile(clock.times_s, 0.5),
        p99_ms=1000 * percentile(clock.times_s, 0.99),
        frame_errors=clock.errors,
        total=clock.total,
    )


def drive(load: Load) -> Measured:
    """Run a load in a process of its own. Raises RuntimeError where it fails or a step was refused."""
    measured = Measured(**apart("envserver.bench.load", load, timeout_s=load.seconds + 120))
    if measured.frame_errors:
        raise RuntimeError(f"{measured.frame_errors} frames were refused or lost at {load.sessions} sessions")
    return measured


def main() -> None:
    """One load, from stdin to stdout."""
    import uvloop

    load = Load(**json.load(sys.stdin))
    if load.core is not None and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {load.core})
    print(json.dumps(asdict(uvloop.run(play(load)))))


if __name__ == "__main__":
    main()
