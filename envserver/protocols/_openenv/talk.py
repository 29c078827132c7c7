"""OpenEnv's WebSocket: one connection, one environment, one episode after another.

Frames are answered in their order. A connection has an episode of its own, which ends with it; or it is attached to a
session that `openenv/session/create` has opened, whose id stays through its resets and which outlives it. A reset opens
the next episode before it closes the last, so that one that is refused loses nothing; only an attached connection,
whose id is taken, and one in a full gym have to close the last one first.

A step of a trivial world is answered where it is read, as in `envserver/socket.py`.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from pydantic import ValidationError
from pydantic_core import from_json, to_json

from envserver.errors import BadRequest, GymError, UnknownSession
from envserver.lane import LANE, TEXT
from envserver.protocols._mcp.rpc import Refusal
from envserver.protocols._mcp.tools import shown
from envserver.protocols._openenv.frames import (
    BareFrame,
    CallToolAction,
    ListToolsAction,
    McpFrame,
    Reset,
    ResetFrame,
    StepFrame,
    action,
    complaint,
    framed,
    observed,
    read_action,
    read_frame,
    refusal,
)
from envserver.protocols._openenv.mcp import Mcp
from envserver.protocols.base import Episode, Host
from envserver.schema import MAX_TEXT_CHARS, ToolSpec
from envserver.session import logged
from envserver.toolset import offered

__all__ = ["Talk"]

Message = dict[str, Any]


class Talk:
    """One connection."""

    def __init__(self, host: Host, env: str, attached: str | None) -> None:
        self.host = host
        self.env = env
        self.attached = attached
        self.rpc = Mcp(host, env)
        self.episode: Episode | None = None
        self.tools: Sequence[ToolSpec] = ()
        self._held = True
        """Whether `_serve` has a frame in hand: those behind it have to wait."""
        self._answering: asyncio.Future[bytes] | None = None
        """The answer to a frame that the lane took."""
        self._send: Callable[[Message], Awaitable[None]]
        self._send_short: Callable[[list[bytes]], bool] | None = None

    async def run(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        """Answer until the client goes or says `close`."""
        self._send = send
        await receive()
        await send({"type": "websocket.accept"})
        lane = scope.get("extensions", {}).get(LANE)
        if lane is not None:
            lane["offer"](self._take_short, TEXT)
            self._send_short = lane["send"]
        try:
            # A send to a client that has gone raises OSError.
            with contextlib.suppress(OSError):
                if await self._began():
                    await self._serve(receive)
                await send({"type": "websocket.close", "code": 1000})
        finally:
            if self.episode is not None and self.attached is None:
                self.episode.close()

    async def _began(self) -> bool:
        try:
            card = await self.host.card(self.env)
            self.tools = card.tools
            if self.attached is not None:
                self.tools = self.host.episode(self.attached, self.env).tools()
            return True
        except UnknownSession:
            await self._say(complaint(f"Unknown session_id: {self.attached}", "SESSION_ERROR"))
        except GymError as error:
            await self._say(complaint(error.detail, "SESSION_ERROR", kind=type(error).__name__))
        return False

    async def _serve(self, receive: Callable[[], Awaitable[Message]]) -> None:
        self._held = False
        while (message := await receive())["type"] == "websocket.receive":
            self._held = True
            while self._answering is not None:
                await asyncio.wait([self._answering])
            reply = await self._reply(message.get("text"))
            if reply is None:
                return
            await self._say(reply)
            self._held = False

    async def _say(self, reply: bytes) -> None:
        await self._send({"type": "websocket.send", "text": reply.decode()})

    def _take_short(self, frame: bytes) -> list[bytes] | None:
        """What the lane answers at once: a step by a text."""
        if self._held or self._answering is not None or self.tools or self.episode is None or self.attached is not None:
            return None
        try:
            item = from_json(frame, allow_inf_nan=False, cache_strings="keys")
            data = item["data"]
            command = data["command"]
            plain = (
                item["type"] == "step"
                and len(item) == 2
                and len(data) == 1
                and type(command) is str
                and len(command) <= MAX_TEXT_CHARS
            )
        except (ValueError, KeyError, TypeError):
            return None
        if not plain:
            return None
        try:
            answer = self.episode.ask(command)
        except GymError as error:
            return [refusal(error, self.host)]
        if isinstance(answer, bytes):
            self.episode.index += 1
            return [framed("observation", observed(answer))]
        self._answering = answer
        answer.add_done_callback(self._landed)
        return []

    def _landed(self, answer: asyncio.Future[bytes]) -> None:
        """A worker's answer to a step that the lane took."""
        if answer.cancelled():
            return
        error = answer.exception()
        if error is None:
            assert self.episode is not None
            self.episode.index += 1
            reply = framed("observation", observed(answer.result()))
        elif isinstance(error, GymError):
            reply = refusal(error, self.host)
        else:
            reply = complaint(f"the server failed: {type(error).__name__}: {error}", "EXECUTION_ERROR")
        self._answering = None
        if self._send_short is None or not self._send_short([reply]):
            self._answering = asyncio.ensure_future(self._say_late(reply))

    async def _say_late(self, reply: bytes) -> bytes:
        """Where the client is slow to read."""
        with contextlib.suppress(OSError):
            await self._say(reply)
        self._answering = None
        return b""

    async def _reply(self, text: str | None) -> bytes | None:
        """The answer to one frame; None to hang up."""
        if text is None:
            return complaint("Invalid JSON: the frame is binary; send text", "INVALID_JSON")
        try:
            item = from_json(text, allow_inf_nan=False)
        except ValueError as error:
            return complaint(f"Invalid JSON: {error}", "INVALID_JSON")
        if not isinstance(item, dict):
            return complaint("Invalid message: a frame is an object", "VALIDATION_ERROR")
        try:
            frame = read_frame(item)
            match frame:
                case ResetFrame():
                    return framed("observation", await self._reset(Reset.model_validate(frame.data)))
                case StepFrame():
                    return framed("observation", await self._step(frame.data))
                case McpFrame():
                    return framed("mcp", await self.rpc.answer(frame.data, self._handle()))
                case BareFrame(type="state"):
                    return framed("state", self._state())
                case BareFrame(type="close"):
                    return None
            return complaint(f"Unknown message type: {str(item.get('type'))[:64]}", "UNKNOWN_TYPE")
        except (GymError, ValidationError) as error:
            return refusal(error, self.host)

    def _handle(self) -> Episode | None:
        """The episode; a session that is played by others, too, is asked for its index each time."""
        return self.episode if self.attached is None else self.host.episode(self.attached, self.env)

    async def _reset(self, asked: Reset) -> bytes:
        task = await self.host.task(self.env, asked)
        if self.attached is not None:
            self.host.sessions.close(self.attached)
        episode, opened = await self.host.follow(self.episode, task, id=self.attached, owner=asked.episode_id)
        self.tools = opened.tools
        if self.attached is None:
            self.episode = episode
        return observed(episode.last(), first=True)

    async def _step(self, data: dict[str, Any]) -> bytes:
        asked = read_action(data)
        if isinstance(asked, ListToolsAction):
            tools = [
                {"name": tool.name, "description": tool.description, "input_schema": tool.parameters}
                for tool in offered(self.tools)
            ]
            return b'{"observation":%b,"reward":null,"done":false}' % to_json({"tools": tools})
        episode = self._handle()
        if episode is None:
            raise BadRequest("there is no episode yet; send reset first")
        try:
            move = action(asked, self.tools)
        except Refusal as error:
            assert isinstance(asked, CallToolAction)
            unknown = asked.tool_name not in [tool.name for tool in offered(self.tools)]
            kind = "tool_not_found" if unknown else "invalid_args"
            told = {"error_type": kind, "message": error.message}
            seen = to_json({"tool_name": asked.tool_name, "result": None, "error": told})
            return b'{"observation":%b,"reward":0.0,"done":false}' % seen
        answer = episode.ask(logged(move))
        result = answer if isinstance(answer, bytes) else await asyncio.shield(answer)
        episode.took()
        if isinstance(asked, CallToolAction):
            seen = b'{"tool_name":%b,"result":%b,"error":null}' % (
                to_json(asked.tool_name),
                shown(result, episode.index, data=True),
            )
            return observed(result, seen=seen)
        return observed(result)

    def _state(self) -> bytes:
        episode = self._handle()
        if episode is None:
            return b'{"episode_id":null,"step_count":0}'
        owner = self.host.sessions.session(episode.id).owner
        return to_json({"episode_id": owner or episode.id, "step_count": episode.index})
