"""`WS /v1/ws`: the wire's verbs over one connection, many in flight.

A frame is one request or an array of requests, text or binary, JSON either way:
`{"id": 1, "verb": "step", "session": "s", "body": {"index": 0, "action": {"text": "go east"}}}`. `body` is what the
HTTP route takes; verbs are open, step, fork, close, expert, state, opens and steps. Each is answered on its own, in any
order: `{"id": 1, "ok": ...}` or `{"id": 1, "problem": {...}}`. Who has sent an array may get answers in arrays.

A plain ASGI endpoint: a step of a trivial world makes no task, and its result is spliced, never decoded.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json

from envserver.config import ServerConfig
from envserver.errors import BadRequest, GymError
from envserver.lane import LANE
from envserver.schema import MAX_TEXT_CHARS, BatchOpen, BatchSteps, ForkRequest, OpenRequest, StepRequest
from envserver.session import logged
from envserver.sessions import Sessions
from envserver.verbs import Verbs, sentence

__all__ = ["Socket"]

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
ENVELOPE = frozenset(("id", "verb", "session", "body"))
BODIES: dict[str, type[BaseModel] | None] = {
    "open": OpenRequest,
    "step": StepRequest,
    "fork": ForkRequest,
    "close": None,
    "expert": None,
    "state": None,
    "opens": BatchOpen,
    "steps": BatchSteps,
}
"""What each verb's body is."""


class Socket:
    """One connection."""

    def __init__(self, sessions: Sessions, verbs: Verbs, config: ServerConfig) -> None:
        self.sessions = sessions
        self.verbs = verbs
        self.config = config
        self.waiting = 0
        self._binary = False
        self._arrays = False
        self._out: list[bytes] = []
        self._flushing: asyncio.Handle | asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[Any]] = set()
        self._room = asyncio.Event()
        self._send: Callable[[Message], Awaitable[None]]
        self._send_short: Callable[[list[bytes]], bool] | None = None

    async def run(self, scope: Message, receive: Receive, send: Callable[[Message], Awaitable[None]]) -> None:
        """Answer until the client goes; steps under way are played to their end and kept."""
        self._send = send
        await receive()
        await send({"type": "websocket.accept"})
        lane = scope.get("extensions", {}).get(LANE)
        if lane is not None:
            lane["offer"](self._take_short)
            self._send_short = lane["send"]
        # A send to a client that has gone raises OSError.
        with contextlib.suppress(OSError):
            while (message := await receive())["type"] == "websocket.receive":
                frame = message.get("bytes")
                self._binary = frame is not None
                await self._write(self._read(frame if frame is not None else message["text"]))
                while self.waiting > self.config.max_batch:
                    self._room.clear()
                    await self._room.wait()

    def _take_short(self, frame: bytes) -> list[bytes] | None:
        """What the lane answers at once."""
        if self.waiting > self.config.max_batch:
            return None
        self._binary = True
        return self._read(frame)

    def _read(self, frame: bytes | str) -> list[bytes]:
        """The answers that are there at once: one frame, or none."""
        try:
            # Texts and ids seldom come twice; to look each up among the strings seen costs more than to make it.
            items = from_json(frame, allow_inf_nan=False, cache_strings="keys")
            if type(items) is dict:
                items = [items]
            elif type(items) is not list:
                raise BadRequest("a frame is one request object or an array of them")
            elif not items:
                raise BadRequest("the array holds no request; send at least one")
            elif len(items) > self.config.max_batch:
                detail = f"a frame holds at most {self.config.max_batch} requests, this one has {len(items)}; split it"
                raise BadRequest(detail)
            else:
                self._arrays = True
        except ValueError as error:
            return self._framed([_refusal(None, BadRequest(f"the frame is not JSON: {error}"))])
        except GymError as error:
            return self._framed([_refusal(None, error)])
        step = self.sessions.step
        # In pieces, so that a result is copied once, into the frame.
        said = [b"["] if self._arrays else []
        for item in items:
            # Nearly every request is a step by a text. One that is plainly right needs no model to say so; whatever
            # is not takes the models' way, and is read or refused there.
            try:
                id, session, body = item["id"], item["session"], item["body"]
                index, action = body["index"], body["action"]
                text = action["text"]
                plain = (
                    item["verb"] == "step"
                    and len(item) == 4
                    and len(body) == 2
                    and len(action) == 1
                    and type(text) is str
                    and len(text) <= MAX_TEXT_CHARS
                    and type(index) is int
                    and index >= 0
                    and type(session) is str
                    and (type(id) is int or type(id) is str)
                )
            except (KeyError, TypeError):
                plain = False
            if not plain:
                id = _id(item)
            try:
                answer = step(session, index, text) if plain else self._asked(id, item)
            except GymError as error:
                said += (_refusal(id, error), b",")
                continue
            if isinstance(answer, bytes):
                said += (b'{"id":%d,"ok":' % id if type(id) is int else b'{"id":%b,"ok":' % to_json(id), answer, b"},")
            else:
                self._await(id, answer)
        if len(said) < 2:
            return []
        said[-1] = said[-1][:-1] + (b"]" if self._arrays else b"")
        return [b"".join(said)]

    def _asked(self, id: int | str | None, item: Any) -> bytes | asyncio.Future[bytes]:
        """The answer to whatever request. Raises GymError."""
        if id is None:
            raise BadRequest("a request is an object whose id is an integer or a string")
        if item.keys() - ENVELOPE:
            unknown = min(item.keys() - ENVELOPE)
            raise BadRequest(f"a request has no key '{unknown}'; its keys are id, verb, session and body")
        if item.get("verb") != "step":
            return self._spawn(self._do(item.get("verb"), item))
        try:
            request = StepRequest.model_validate(item.get("body"))
        except ValidationError as error:
            raise BadRequest(sentence(error)) from None
        session = item.get("session")
        if type(session) is not str:
            raise BadRequest("a step needs its session's id, a string")
        return self.sessions.step(session, request.index, logged(request.action))

    def _await(self, id: int | str, task: asyncio.Future[bytes]) -> None:
        self.waiting += 1
        task.add_done_callback(partial(self._done, id))

    async def _do(self, verb: Any, item: Message) -> bytes:
        if not isinstance(verb, str) or verb not in BODIES:
            raise BadRequest(f"no verb is named '{str(verb)[:64]}'; there are: {', '.join(BODIES)}")
        kind = BODIES[verb]
        try:
            body = kind.model_validate(item.get("body") or {}) if kind else None
            if not kind and item.get("body") is not None:
                raise BadRequest(f"{verb} takes no body")
        except ValidationError as error:
            raise BadRequest(sentence(error)) from None
        session = item.get("session", "")
        if not isinstance(session, str):
            raise BadRequest("a session's id is a string")
        match body:
            case OpenRequest():
                return await self.sessions.open(body.task, body.session, body.owner)
            case ForkRequest():
                return await self.sessions.fork(session, body.index, body.session)
            case BatchOpen():
                return await self.verbs.opens(body)
            case BatchSteps():
                return await self.verbs.steps(body)
        if verb == "close":
            self.sessions.close(session)
            return b"null"
        if verb == "expert":
            return await self.verbs.expert(session)
        return await self.sessions.state(session)

    def _spawn(self, work: Any) -> asyncio.Task[bytes]:
        task: asyncio.Task[bytes] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    def _done(self, id: int | str, task: asyncio.Future[bytes]) -> None:
        self.waiting -= 1
        self._room.set()
        if task.cancelled():
            return
        error = task.exception()
        if error is None:
            self._out.append(b'{"id":%b,"ok":%b}' % (to_json(id), task.result()))
        elif isinstance(error, GymError):
            self._out.append(_refusal(id, error))
        else:
            self._out.append(_refusal(id, GymError(f"the server failed: {type(error).__name__}: {error}")))
        if self._flushing is None:
            self._flushing = asyncio.get_running_loop().call_soon(self._flush_short)

    def _flush_short(self) -> None:
        """Send what this turn of the loop answered, at once where that can be."""
        if self._binary and self._send_short is not None and self._send_short(self._framed(self._out)):
            self._out = []
            self._flushing = None
        else:
            self._flushing = asyncio.create_task(self._flush())

    async def _flush(self) -> None:
        try:
            with contextlib.suppress(OSError):
                while self._out:
                    replies, self._out = self._out, []
                    await self._write(self._framed(replies))
        finally:
            self._flushing = None

    def _framed(self, replies: list[bytes]) -> list[bytes]:
        return [b"[%b]" % b",".join(replies)] if self._arrays and replies else replies

    async def _write(self, frames: list[bytes]) -> None:
        for frame in frames:
            if self._binary:
                await self._send({"type": "websocket.send", "bytes": frame})
            else:
                await self._send({"type": "websocket.send", "text": frame.decode()})


def _id(item: Any) -> int | str | None:
    """A request's id; None where it has none that can be answered."""
    id = item.get("id") if type(item) is dict else None
    return id if type(id) is int or type(id) is str else None


def _refusal(id: int | str | None, error: GymError) -> bytes:
    return b'{"id":%b,"problem":%b}' % (to_json(id), error.problem().model_dump_json().encode())
