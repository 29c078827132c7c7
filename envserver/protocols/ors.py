"""ORS, the Open Reward Standard: `/ors` is an environment server, as the `openreward` SDK's sessions know one.

The SDK asks at the root of a host and cannot be told a path, so what its User-Agent sends is answered there, too; its
session's deployment names the environment where the path does not. A call is a stream of events, whose first is the
call's `task_id`: sent again with it, the call is answered from the session's log and not played a second time, on
another server of the same ledger as well.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import AsyncIterator
from typing import Annotated, Any, Self

from pydantic import BaseModel, ConfigDict, Field, JsonValue, model_validator
from pydantic_core import from_json, to_json
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

import envserver
from envserver.errors import BadRequest, EpisodeOver, GymError, OutOfTurn, UnknownSession, UnknownTask
from envserver.protocols._http import Refused, answer, body, json_response
from envserver.protocols._listing import at, count, listed
from envserver.protocols._mcp.bound import instructions
from envserver.protocols._mcp.rpc import Refusal
from envserver.protocols._mcp.tools import called
from envserver.protocols.base import Choice, Episode, Host, Message, Protocol, Receive, Send
from envserver.schema import Action, ToolSpec
from envserver.session import logged
from envserver.toolset import offered

__all__ = ["Ors"]

KINDS = {"train": "train", "test": "test"}
"""Split -> its kind; any other is for validation."""
HEARTBEAT_S = 10.0
"""Silence in a stream after which a comment is sent; the SDK takes 30 s for the server's death."""
CHUNK_CHARS = 4096
MOST_KEPT = 10_000
"""Deleted sessions that are told from those that never were; the oldest go first."""

Split = Annotated[str, Field(max_length=128)]


class Shape(BaseModel):
    """Base of ORS' bodies, which refuse unknown keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Tasks(Shape):
    """Body of the routes about tasks."""

    split: Split
    index: int = 0
    start: int | None = None
    stop: int | None = None


class Create(Shape):
    """Body of `/create`."""

    env_name: Annotated[str, Field(max_length=128)] | None = None
    task_spec: dict[str, JsonValue] | None = None
    split: Split | None = None
    index: int | None = None
    toolset_name: str | None = None

    @model_validator(mode="after")
    def _one_task(self) -> Self:
        if (self.task_spec is None) == (self.split is None) or (self.split is None) != (self.index is None):
            raise ValueError("either task_spec, or both split and index")
        return self


class Call(Shape):
    """Body of a call."""

    name: Annotated[str, Field(max_length=128)]
    input: dict[str, JsonValue]
    task_id: Annotated[str, Field(max_length=128)] | None = None


class Ors(Protocol):
    """ORS: what `openreward.AsyncOpenReward().environments` speaks."""

    agents = (b"openreward-sdk/",)

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.deleted: dict[str, None] = {}

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        await answer(self._handle, _refusal, scope, receive, send)

    async def _handle(self, request: Request) -> Response:
        path = request.scope["path"].removeprefix(request.scope["root_path"]).strip("/")
        env, _, verb = path.rpartition("/")
        if "/" in env:
            raise Refused(404, "Not Found")
        match request.method, verb:
            case "GET", "health":
                return json_response({"status": "ok"})
            case "GET", "version":
                return json_response({"version": envserver.__version__, "build_sha": None})
            case "GET", "list_environments":
                return json_response([card.env for card in await self.host.nursery.cards()])
            case "POST", "create_session":
                return _events([("task_id", str(uuid.uuid4())), ("end", "")])
            case "POST", "ping":
                self._episode(request)
                return json_response({"status": "ok"})
            case "POST", "create":
                return json_response(await self._create(request))
            case "POST", "delete" | "delete_session":
                return json_response(self._delete(request))
            case "GET", "splits":
                card = await self.host.card(self._env(request, env))
                return json_response([{"name": name, "type": KINDS.get(name, "validation")} for name in card.splits])
            case "GET", "tools":
                return json_response(_specs((await self.host.card(self._env(request, env))).tools))
            case "POST", "tasks" | "num_tasks" | "task" | "task_range":
                asked = Tasks.model_validate(await body(request))
                return json_response(await self._tasks(self._env(request, env), verb, asked))
            case "GET", "task_tools":
                episode = self._episode(request)
                await episode.opened()
                return json_response(_specs(episode.tools()))
            case "GET", "prompt" | "messages":
                blocks = [_block(instructions(await self._episode(request).opened()))]
                messages = [{"role": "user", "blocks": blocks, "detail": None}]
                return json_response(blocks if verb == "prompt" else messages)
            case "POST", "call":
                return self._call(self._episode(request), Call.model_validate(await body(request)))
            case "POST", "score_group":
                raise Refused(404, "no environment here implements score_group")
        raise Refused(404, "Not Found")

    def _env(self, request: Request, named: str) -> str:
        """The environment of a path, of the SDK's deployment (`keydoor`, or `namespace/keydoor`), or the only one."""
        env = named or request.headers.get("X-Deployment", "").rpartition("/")[2]
        specs = self.host.nursery.specs
        return env or (next(iter(specs)) if len(specs) == 1 else "")

    def _episode(self, request: Request) -> Episode:
        """The session of the header, its lease renewed."""
        id = _sid(request)
        try:
            return self.host.episode(id)
        except UnknownSession:
            if id in self.deleted:
                raise Refused(410, "Session deleted") from None
            raise UnknownSession(f"no session '{id}': create it first; or its lease ran out") from None

    async def _create(self, request: Request) -> dict[str, str]:
        """Open the session of the header; sent again, the same is answered."""
        id, asked = _sid(request), Create.model_validate(await body(request))
        if id in self.deleted:
            raise Refused(410, "Session deleted")
        if asked.toolset_name is not None:
            raise Refused(400, f"unknown toolset {asked.toolset_name[:64]!r}; there are none here")
        env = self._env(request, asked.env_name or "")
        spec = {"split": asked.split, "index": asked.index} if asked.task_spec is None else asked.task_spec
        task = await self.host.task(env, Choice.model_validate(spec))
        try:
            await self.host.open(task, id=id, owner="ors")
        except OutOfTurn as error:
            raise Refused(400, f"Session already exists: {error.detail}") from None
        return {"sid": id}

    def _delete(self, request: Request) -> dict[str, str]:
        id = _sid(request)
        try:
            self.host.episode(id).close()
            self.deleted[id] = None
            while len(self.deleted) > MOST_KEPT:
                self.deleted.pop(next(iter(self.deleted)))
        except UnknownSession:
            pass
        return {"sid": id}

    async def _tasks(self, env: str, verb: str, asked: Tasks) -> dict[str, Any]:
        if verb == "num_tasks":
            return {"num_tasks": await count(self.host, env, asked.split)}
        if verb == "task":
            return {"task": await at(self.host, env, asked.split, asked.index), "env_name": env}
        return {"tasks": await listed(self.host, env, asked.split, asked.start, asked.stop), "env_name": env}

    def _call(self, episode: Episode, asked: Call) -> Response:
        """The stream of a call: its task_id at once, its result when it is there."""
        if asked.task_id is not None:
            index, _, sid = asked.task_id.partition(".")
            if sid != episode.id or not index.isdecimal() or len(index) > 9 or int(index) > episode.index:
                return _events([("error", "unknown task_id")])
            episode.index = int(index)
        task_id = f"{episode.index}.{episode.id}"
        session = self.host.sessions.session(episode.id)
        if session.card.weight == "trivial" or episode.index < len(session.actions):
            try:
                result = self._begun(episode, asked)
            except GymError as error:
                return _events([("task_id", task_id), *_failed(error)])
            if isinstance(result, bytes):
                return _events([("task_id", task_id), *_parts(result)])
        return StreamingResponse(self._stream(episode, asked, task_id), headers=HEADERS, media_type=EVENTS)

    def _begun(self, episode: Episode, asked: Call) -> bytes | asyncio.Future[bytes]:
        """The call's outcome, at once where it is no step or there already; else the StepResult that will be."""
        tools = offered(episode.tools())
        try:
            action: Action = called({"name": asked.name, "arguments": asked.input}, episode.tools())
        except Refusal as refusal:
            known = any(tool.name == asked.name for tool in tools)
            return _refused(refusal.message, "input_validation" if known else "not_found")
        try:
            result = episode.ask(logged(action))
        except EpisodeOver as error:
            return _refused(error.detail, "episode_finished")
        return _output(result) if isinstance(result, bytes) else result

    async def _stream(self, episode: Episode, asked: Call, task_id: str) -> AsyncIterator[bytes]:
        # First the id, then the step: who has not got the id has played nothing.
        yield _event("task_id", task_id)
        try:
            result = self._begun(episode, asked)
            if not isinstance(result, bytes):
                while not result.done():
                    done, _ = await asyncio.wait([result], timeout=HEARTBEAT_S)
                    if not done:
                        yield b": ping\n\n"
                result = _output(result.result())
        except GymError as error:
            parts = _failed(error)
        else:
            parts = _parts(result)
        for name, data in parts:
            yield _event(name, data)


EVENTS = "text/event-stream"
HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}


def _sid(request: Request) -> str:
    sid = request.headers.get("X-Session-ID", "").strip()
    if not sid:
        raise Refused(400, "X-Session-ID header is required")
    if len(sid) > 128 or not sid.replace("-", "").replace("_", "").replace(".", "").isalnum() or not sid.isascii():
        raise Refused(400, "X-Session-ID is letters, digits, '_', '.' and '-', 128 at most")
    return sid


def _specs(tools: list[ToolSpec]) -> dict[str, Any]:
    specs = [
        {"name": tool.name, "description": tool.description, "input_schema": tool.parameters} for tool in offered(tools)
    ]
    return {
        "tools": specs,
        "terminal_tool": None,
        "supports_score_group": False,
        "message_block_types": ["text"],
    }


def _block(text: str) -> dict[str, Any]:
    return {"text": text, "detail": None, "type": "text"}


def _output(result: bytes) -> bytes:
    """A StepResult's JSON as a ToolOutput's; what is accepted next is shown, flags and info are the client's."""
    step = from_json(result)
    seen, reward = step.pop("observation"), step.pop("reward")
    blocks = [_block(seen["text"])]
    if seen["choices"]:
        blocks.append(_block("Accepted here:\n" + "\n".join(seen["choices"])))
    over = step["terminated"] or step["truncated"]
    return to_json({"ok": True, "output": {"blocks": blocks, "metadata": step, "reward": reward, "finished": over}})


def _refused(error: str, reason: str) -> bytes:
    return to_json({"ok": False, "error": error, "reason": reason})


def _failed(error: GymError) -> list[tuple[str, str]]:
    """A world that failed is the stream's error, upon which the SDK gives the session up; it has no reward."""
    return [("error", " ".join(f"{type(error).__name__}: {error.detail}".split()))]


def _parts(result: bytes) -> list[tuple[str, str]]:
    """A result in chunks; none begins with a blank, which the SDK would strip."""
    text, parts, begin = result.decode(), [], 0
    while begin < len(text):
        end = min(begin + CHUNK_CHARS, len(text))
        while end < len(text) and text[end].isspace():
            end += 1
        parts.append(("chunk" if end < len(text) else "end", text[begin:end]))
        begin = end
    return parts


def _event(name: str, data: str) -> bytes:
    return f"event: {name}\ndata: {data}\n\n".encode()


def _events(parts: list[tuple[str, str]]) -> Response:
    return Response(b"".join(_event(name, data) for name, data in parts), 200, HEADERS, EVENTS)


def _refusal(error: GymError) -> Response:
    status = 400 if isinstance(error, UnknownTask) else error.status
    detail = f"Invalid task: {error.detail}" if isinstance(error, UnknownTask) else error.detail
    if isinstance(error, BadRequest):
        detail = f"Invalid request: {error.detail}"
    return json_response({"detail": detail, "kind": type(error).__name__}, status)
