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
from envserver.session import Logged, logged
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
                replies = self._read(frame if frame is not None else message["text"])
                if replies:
                    await self._write(replies)
                while self.waiting > self.config.max_batch:
                    self._room.clear()
                    await self._room.wait()

    def _take_short(self, frame: bytes) -> list[bytes] | None:
        """What the lane answers at once."""
        if self.waiting > self.config.max_batch:
            return None
        self._binary = True
        replies = self._read(frame)
        return self._framed(replies) if self._arrays else replies

    def _read(self, frame: bytes | str) -> list[bytes]:
        """The answers that are there at once."""
        try:
            # Texts and ids seldom come twice; to look each up among the strings seen costs more than to make it.
            items = from_json(frame, allow_inf_nan=False, cache_strings="keys")
        except ValueError as error:
            return [_refusal(None, BadRequest(f"the frame is not JSON: {error}"))]
        if type(items) is dict:
            reply = self._take(items)
            return [reply] if reply is not None else []
        if type(items) is not list:
            return [_refusal(None, BadRequest("a frame is one request object or an array of them"))]
        if not items:
            return [_refusal(None, BadRequest("the array holds no request; send at least one"))]
        if len(items) > self.config.max_batch:
            detail = f"a frame holds at most {self.config.max_batch} requests, this one has {len(items)}; split it"
            return [_refusal(None, BadRequest(detail))]
        self._arrays = True
        return [reply for item in items if (reply := self._take(item)) is not None]

    def _take(self, item: Any) -> bytes | None:
        """The answer, where it is there at once."""
        # Nearly every request is a step by a text. One that is plainly right needs no model to say so; whatever is
        # not takes the models' way, and is read or refused there.
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
        return self._step(id, session, index, text) if plain else self._take_any(item)

    def _take_any(self, item: Any) -> bytes | None:
        id = item.get("id") if type(item) is dict else None
        if type(id) is not int and type(id) is not str:
            return _refusal(None, BadRequest("a request is an object whose id is an integer or a string"))
        try:
            if item.keys() - ENVELOPE:
                unknown = min(item.keys() - ENVELOPE)
                raise BadRequest(f"a request has no key '{unknown}'; its keys are id, verb, session and body")
            if item.get("verb") == "step":
                request = StepRequest.model_validate(item.get("body"))
                session = item.get("session")
                if type(session) is not str:
                    raise BadRequest("a step needs its session's id, a string")
                return self._step(id, session, request.index, logged(request.action))
        except ValidationError as error:
            return _refusal(id, BadRequest(sentence(error)))
        except GymError as error:
            return _refusal(id, error)
        self._await(id, self._spawn(self._do(item.get("verb"), item)))
        return None

    def _step(self, id: int | str, session: str, index: int, action: Logged) -> bytes | None:
        """The answer to a step, where it is there at once."""
        try:
            answer = self.sessions.step(session, index, action)
        except GymError as error:
            return _refusal(id, error)
        if type(answer) is bytes:
            if type(id) is int:
                return b'{"id":%d,"ok":%b}' % (id, answer)
            return b'{"id":%b,"ok":%b}' % (to_json(id), answer)
        assert isinstance(answer, asyncio.Future)
        self._await(id, answer)
        return None

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
                    await self._write(replies)
        finally:
            self._flushing = None

    def _framed(self, replies: list[bytes]) -> list[bytes]:
        return [b"[%b]" % b",".join(replies)] if self._arrays and replies else replies

    async def _write(self, replies: list[bytes]) -> None:
        for frame in self._framed(replies):
            if self._binary:
                await self._send({"type": "websocket.send", "bytes": frame})
            else:
                await self._send({"type": "websocket.send", "text": frame.decode()})


def _refusal(id: int | str | None, error: GymError) -> bytes:
    return b'{"id":%b,"problem":%b}' % (to_json(id), error.problem().model_dump_json().encode())
