"""The async client: one WebSocket for play, many worlds on it; HTTP for the catalogue.

What is asked in one turn of the event loop travels in one frame. Every verb is safe to repeat (a step carries its
index, opening and forking a client-made id), so a lost connection is mended and the request sent again, and nothing is
played twice. Errors are the classes of `envserver.errors`.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import time
import uuid
from functools import partial
from socket import gethostname
from typing import Any, Self, TypeVar
from urllib.parse import quote

import httpx
import websockets
from pydantic import BaseModel, TypeAdapter, ValidationError
from pydantic_core import from_json, to_json
from websockets.asyncio.client import ClientConnection, connect

from envserver.errors import (
    BadRequest,
    EpisodeOver,
    GymError,
    GymFull,
    GymUnreachable,
    Unauthorized,
    UnknownSession,
    WorldFailed,
    WorldSilent,
    from_problem,
)
from envserver.schema import (
    Action,
    Demonstration,
    EnvCard,
    Health,
    Opened,
    Problem,
    SessionState,
    StepResult,
    Task,
    TaskPage,
)

__all__ = ["Gym", "World"]

M = TypeVar("M", bound=BaseModel)

FRAME_REQUESTS = 256
"""Requests of one frame at most."""
FRAME_BYTES = 1 << 20
"""Bytes of one frame, unless a single request is larger."""
CLOSE_PATIENCE_S = 5.0
"""How long closing may take; the lease ends what is not closed."""
MAX_PAUSE_S = 2.0
"""Longest pause between two attempts to connect."""

_quoted = partial(quote, safe="")
CARDS = TypeAdapter(list[EnvCard])
STATES = TypeAdapter(list[SessionState])
EXPERT = TypeAdapter(Action | None)


class Disconnected(Exception):
    """Raised inside where the connection went before the answer came."""


class Gym:
    """A server of worlds. Belongs to the event loop it is first used in."""

    def __init__(
        self, url: str, *, token: str | None = None, timeout_s: float = 120.0, owner: str | None = None
    ) -> None:
        """`timeout_s` is the patience with a server that cannot be reached or is full; a busy one is waited for.

        `owner` is shown in the server's list of sessions; None for this host and process.
        """
        if not url.startswith(("http://", "https://")):
            raise BadRequest(f"'{url}' is no URL of a gym; it begins with http:// or https://")
        self.url = url.rstrip("/")
        self.timeout_s = timeout_s
        self.owner = owner or f"{gethostname()[:64]}/{os.getpid()}"
        # A proxy before several servers sends all that one client asks to one of them (docker/haproxy.cfg).
        self._headers = {"X-Gym-Client": uuid.uuid4().hex} | ({"Authorization": f"Bearer {token}"} if token else {})
        self._http: httpx.AsyncClient | None = None
        self._link: _Link | None = None
        self._connecting: asyncio.Task[_Link] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Hang up. Worlds that are still open end with their leases."""
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
            self._connecting = None
        link, self._link = self._link, None
        if link is not None:
            await link.close()
        http, self._http = self._http, None
        if http is not None:
            await http.aclose()

    async def open(self, task: Task, *, session: str | None = None) -> World:
        """A world at the first state of `task`; a full gym is waited for.

        Raises UnknownEnv, UnknownTask, GymFull after `timeout_s`, WorldFailed, WorldSilent or GymUnreachable.
        """
        body = {"task": task.model_dump(), "session": session or uuid.uuid4().hex, "owner": self.owner}
        return World(self, Opened.model_validate(await self._admitted("open", "", body)))

    async def envs(self) -> list[EnvCard]:
        """The catalogue."""
        return CARDS.validate_json(await self._get("/v1/envs"))

    async def card(self, env: str) -> EnvCard:
        """One environment of the catalogue. Raises UnknownEnv."""
        return EnvCard.model_validate_json(await self._get(f"/v1/envs/{_quoted(env)}"))

    async def tasks(
        self, env: str, split: str, *, offset: int = 0, limit: int = 1000, options: dict[str, Any] | None = None
    ) -> TaskPage:
        """A page of the task keys that these options list. Raises UnknownEnv, or UnknownTask for split or options."""
        query = {"split": split, "offset": offset, "limit": limit, "options": json.dumps(options or {})}
        return TaskPage.model_validate_json(await self._get(f"/v1/envs/{_quoted(env)}/tasks", query))

    async def health(self) -> Health:
        """Liveness, capacity and limits."""
        return Health.model_validate_json(await self._get("/health"))

    async def sessions(self) -> list[SessionState]:
        """Every session, without transcripts."""
        return STATES.validate_json(await self._get("/v1/sessions"))

    async def state(self, session: str) -> SessionState:
        """State and transcript of one session. Raises UnknownSession."""
        return SessionState.model_validate_json(await self._get(f"/v1/sessions/{_quoted(session)}"))

    async def demonstration(self, task: Task) -> Demonstration:
        """How the expert plays `task`. Raises Forbidden where the server was not started with `--expert`."""
        query = {"key": task.key, "seed": task.seed, "options": json.dumps(task.options)}
        return Demonstration.model_validate_json(await self._get(f"/v1/envs/{_quoted(task.env)}/demonstration", query))

    async def _admitted(self, verb: str, session: str, body: dict[str, Any]) -> Any:
        """Call, and call again while the gym is full."""
        give_up = time.monotonic() + self.timeout_s
        while True:
            try:
                return await self._call(verb, session, body)
            except GymFull as full:
                pause_s = (full.retry_after_s or 1.0) * random.uniform(0.75, 1.25)
                if time.monotonic() + pause_s > give_up:
                    raise
                await asyncio.sleep(pause_s)

    async def _call(self, verb: str, session: str, body: Any, patience_s: float | None = None) -> Any:
        """The answer to one verb, however often the connection has to be mended."""
        give_up: float | None = None
        while True:
            try:
                link = await self._linked(patience_s or self.timeout_s)
                return await link.ask(verb, session, body)
            except Disconnected as error:
                now = time.monotonic()
                give_up = give_up or now + (patience_s or self.timeout_s)
                if now > give_up:
                    raise GymUnreachable(f"{self.url} hangs up on every request: {error}") from None
                await asyncio.sleep(0.05)

    async def _linked(self, patience_s: float) -> _Link:
        if self._link is not None and self._link.alive:
            return self._link
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.create_task(self._connect())
            self._connecting.add_done_callback(_read_error)
        try:
            return await asyncio.wait_for(asyncio.shield(self._connecting), patience_s)
        except TimeoutError:
            raise GymUnreachable(f"{self.url} cannot be reached within {patience_s:g} s") from None

    async def _connect(self) -> _Link:
        give_up = time.monotonic() + self.timeout_s
        pause_s = 0.05
        while True:
            left_s = max(0.1, give_up - time.monotonic())
            try:
                socket = await connect(
                    f"ws{self.url.removeprefix('http')}/v1/ws",
                    additional_headers=self._headers,
                    compression=None,
                    max_size=None,
                    open_timeout=min(10.0, left_s),
                    ping_interval=min(20.0, self.timeout_s / 4),
                    ping_timeout=self.timeout_s / 2,
                    close_timeout=1.0,
                )
            except websockets.InvalidStatus as refused:
                status = refused.response.status_code
                otherwise: GymError = GymUnreachable(f"{self.url} is no gym: it answered {status} to a WebSocket")
                if status == 401:
                    otherwise = Unauthorized("the server wants a token")
                if status < 500:
                    raise _refusal(bytes(refused.response.body or b""), otherwise) from None
                problem: Exception = refused
            except (OSError, TimeoutError, websockets.WebSocketException) as error:
                problem = error
            else:
                self._link = _Link(socket)
                return self._link
            if time.monotonic() + pause_s > give_up:
                detail = f"{self.url} cannot be reached ({type(problem).__name__}: {problem}); is the server running?"
                raise GymUnreachable(detail) from None
            await asyncio.sleep(pause_s * random.uniform(0.75, 1.25))
            pause_s = min(MAX_PAUSE_S, pause_s * 2)

    async def _get(self, path: str, query: dict[str, Any] | None = None) -> bytes:
        if self._http is None:
            self._http = httpx.AsyncClient(base_url=self.url, headers=self._headers, timeout=self.timeout_s)
        give_up = time.monotonic() + self.timeout_s
        pause_s = 0.05
        while True:
            try:
                response = await self._http.get(path, params=query)
            except httpx.TransportError as error:
                if time.monotonic() + pause_s > give_up:
                    reason = f"{type(error).__name__}: {error}"
                    raise GymUnreachable(f"{self.url} cannot be reached ({reason}); is the server running?") from None
                await asyncio.sleep(pause_s)
                pause_s = min(MAX_PAUSE_S, pause_s * 2)
                continue
            if response.is_success:
                return response.content
            raise _refusal(response.content, GymError(f"{self.url}{path} answered {response.status_code}"))


class World:
    """One episode that is played over a Gym. Use it from one task at a time."""

    def __init__(self, gym: Gym, opened: Opened) -> None:
        self.gym = gym
        self.opened = opened
        self.session = opened.session
        self.index = opened.index
        """Steps taken."""
        self.result = opened.result
        """The last one."""
        self._broken = False

    @property
    def over(self) -> bool:
        """True once no further step will be answered."""
        return self.result.over or self._broken

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def step(self, action: Action | str) -> StepResult:
        """Play one action.

        Raises EpisodeOver, UnknownSession where the lease ran out or the server was started anew, WorldFailed,
        WorldSilent or GymUnreachable.
        """
        played = {"text": action} if isinstance(action, str) else action.model_dump(exclude_defaults=True)
        try:
            answer = await self.gym._call("step", self.session, {"index": self.index, "action": played})
        except (EpisodeOver, UnknownSession, WorldFailed, WorldSilent):
            self._broken = True
            raise
        self.result = StepResult.model_validate(answer)
        self.index += 1
        return self.result

    async def fork(self, index: int | None = None) -> World:
        """A second world in the state after `index` steps; None for all of them."""
        body = {"index": self.index if index is None else index, "session": uuid.uuid4().hex}
        return World(self.gym, Opened.model_validate(await self.gym._admitted("fork", self.session, body)))

    async def expert(self) -> Action | None:
        """The expert's next action; None where there is none. Raises Forbidden unless served with `--expert`."""
        return EXPERT.validate_python(await self.gym._call("expert", self.session, None))

    async def close(self) -> None:
        """Let the world go; closing again is fine, and so is a server that has gone."""
        with contextlib.suppress(GymUnreachable):
            await self.gym._call("close", self.session, None, CLOSE_PATIENCE_S)


class _Link:
    """One live connection."""

    def __init__(self, socket: ClientConnection) -> None:
        self.socket = socket
        self.alive = True
        self._last = 0
        self._asked: dict[int, asyncio.Future[Any]] = {}
        self._out: list[bytes] = []
        self._sending: asyncio.Task[None] | None = None
        self._hearing = asyncio.create_task(self._hear())

    async def ask(self, verb: str, session: str, body: Any) -> Any:
        """Send one request and wait for its answer. Raises its GymError, or Disconnected."""
        if not self.alive:
            raise Disconnected("the connection is closed")
        self._last += 1
        id = self._last
        request = to_json({"id": id, "verb": verb, "session": session, "body": body})
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._asked[id] = future
        self._out.append(request)
        if self._sending is None:
            self._sending = asyncio.create_task(self._send())
        try:
            return await future
        finally:
            self._asked.pop(id, None)

    async def close(self) -> None:
        """Hang up."""
        await self.socket.close()
        await asyncio.wait([self._hearing])

    async def _send(self) -> None:
        try:
            while self._out:
                requests, self._out = self._out, []
                for frame in _frames(requests):
                    await self.socket.send(frame)
        except websockets.ConnectionClosed:
            pass  # The hearing task ends with the same, and tells who waits.
        finally:
            self._sending = None

    async def _hear(self) -> None:
        reason = "the server hung up"
        try:
            async for frame in self.socket:
                answers = from_json(frame)
                for answer in answers if isinstance(answers, list) else [answers]:
                    self._settle(answer)
        except websockets.ConnectionClosed as error:
            reason = str(error)
        finally:
            self.alive = False
            for future in self._asked.values():
                if not future.done():
                    future.set_exception(Disconnected(reason))

    def _settle(self, answer: dict[str, Any]) -> None:
        future = self._asked.get(answer["id"])
        if future is None or future.done():
            return
        if "problem" in answer:
            future.set_exception(from_problem(Problem.model_validate(answer["problem"])))
        else:
            future.set_result(answer["ok"])


def _frames(requests: list[bytes]) -> list[bytes]:
    """Requests packed into arrays that keep the limits of a frame."""
    frames, start, size = [], 0, 0
    for place, request in enumerate(requests):
        if place > start and (place - start >= FRAME_REQUESTS or size + len(request) > FRAME_BYTES):
            frames.append(b"[%b]" % b",".join(requests[start:place]))
            start, size = place, 0
        size += len(request) + 1
    frames.append(b"[%b]" % b",".join(requests[start:]))
    return frames


def _read_error(task: asyncio.Task[_Link]) -> None:
    """Whoever waited may have gone; an error that nobody reads would be reported as a bug."""
    if not task.cancelled():
        task.exception()


def _refusal(body: bytes, otherwise: GymError) -> GymError:
    try:
        return from_problem(Problem.model_validate_json(body))
    except ValidationError:
        return otherwise
