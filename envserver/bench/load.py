"""The load: many sessions that send a step, wait for its result and send the next, for some seconds.

`python -m envserver.bench.load` reads a Load as JSON on stdin and prints a Measured as JSON. It speaks WebSocket with
nothing in between, since a load generator that is slower than the server measures itself: a request is spliced from
bytes, of an answer only the results are counted, and every hundredth is decoded, however the sessions are driven.
"""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import dataclass
from typing import Literal, cast

from envserver.bench import meter
from envserver.bench.frames import UPGRADE, framed, unframed
from envserver.bench.meter import GOODBYE_S, Measured, Meter
from envserver.schema import StepResult

__all__ = ["Load", "drive"]

NUMBER = b"NUMBER"
ACTION = b'{"text":"go to room 7 and look around"}'
STEP = b'{"id":NUMBER,"verb":"step","session":"%b","body":{"index":NUMBER,"action":' + ACTION + b"}}"
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


class Player(asyncio.Protocol):
    """One connection: a frame out, its answer back, the next frame out."""

    def __init__(self, load: Load, number: int, meter: Meter) -> None:
        self.names = [b"bench-%d-%d" % (number, place) for place in range(load.batch)]
        self.steps = [(STEP % name).split(NUMBER) for name in self.names]
        steps = [STEP % name for name in self.names]
        self.frame = (steps[0] if len(steps) == 1 else b"[%b]" % b",".join(steps)).split(NUMBER)
        self.how = load.how if load.batch > 1 else "frame"
        self.meter = meter
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
        self.meter.count(
            time.perf_counter() - self.sent[place],
            payload.count(b'"ok":{"observation":') == steps,
            lambda: _played(payload, steps),
            steps,
        )
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
            elif self.meter.going:
                frames.append(self.took(payload))
        self.data = data
        if frames:
            self.transport.write(b"".join(frames))

    def connection_lost(self, exc: Exception | None) -> None:
        if self.meter.going:
            self.meter.errors += 1


def _played(payload: bytes, steps: int) -> bool:
    """Whether each answer is a whole result of the null world."""
    answers = json.loads(payload)
    answers = answers if isinstance(answers, list) else [answers]
    seen = [StepResult.model_validate(answer["ok"]).observation for answer in answers]
    return len(seen) == steps and all(len(one.text) == 785 and len(one.choices) == 20 for one in seen)


async def play(load: Load) -> Measured:
    """Connect, open, warm up, measure."""
    loop, counts = asyncio.get_running_loop(), Meter()

    async def ready(number: int) -> Player:
        _, player = await loop.create_connection(lambda: Player(load, number, counts), "127.0.0.1", load.port)
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

    def end(player: Player) -> None:
        if load.opens:
            closing = [b'{"id":0,"verb":"close","session":"%b"}' % name for name in player.names]
            player.transport.write(framed(b"[%b]" % b",".join(closing)))
        loop.call_later(GOODBYE_S / 2, player.transport.close)

    connections = range(load.sessions // load.batch)
    return await counts.measure((ready(number) for number in connections), Player.play, end, load.seconds)


def drive(load: Load) -> Measured:
    """Run a load in a process of its own. Raises RuntimeError where it fails or a step was refused."""
    return meter.drive("envserver.bench.load", load, f"frames at {load.sessions} sessions")


if __name__ == "__main__":
    meter.run(Load, play)
