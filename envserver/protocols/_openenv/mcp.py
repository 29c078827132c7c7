"""OpenEnv's short form of MCP: no handshake, and sessions that a WebSocket may attach to."""

from __future__ import annotations

import asyncio
from typing import Any

from pydantic import ValidationError
from pydantic_core import to_json

from envserver.errors import GymError, UnknownSession
from envserver.protocols._mcp.rpc import INVALID_PARAMS, METHOD_NOT_FOUND, Refusal, Request, failed, read, succeeded
from envserver.protocols._mcp.tools import called, listed, shown
from envserver.protocols.base import Choice, Episode, Host
from envserver.session import logged
from envserver.toolset import offered
from envserver.verbs import sentence

__all__ = ["Mcp"]


class Mcp:
    """Answers messages about one environment."""

    def __init__(self, host: Host, env: str) -> None:
        self.host = host
        self.env = env

    async def answer(self, item: Any, episode: Episode | None = None) -> bytes:
        """The answer to one message; `episode` is the connection's own. A notification is answered, too, by null."""
        id = item.get("id") if isinstance(item, dict) else None
        try:
            request = read(item)
            return succeeded(request.id, await self._result(request, episode))
        except Refusal as refusal:
            return failed(id, refusal)
        except GymError as error:
            return failed(id, Refusal.of(error))
        except ValidationError as error:
            return failed(id, Refusal(INVALID_PARAMS, sentence(error)))

    async def _result(self, request: Request, episode: Episode | None) -> bytes:
        match request.method:
            case "openenv/session/create":
                task = await self.host.task(self.env, Choice.model_validate(request.params))
                created, _ = await self.host.open(task, owner="openenv")
                return to_json({"session_id": created.id})
            case "openenv/session/close":
                closed = self._named(request)
                if closed is None:
                    raise Refusal(INVALID_PARAMS, "Invalid params - 'session_id' is required")
                closed.close()
                return to_json({"session_id": closed.id, "closed": True})
            case "tools/list":
                episode = self._named(request) or episode
                tools = (await self.host.card(self.env)).tools if episode is None else episode.tools()
                return to_json({"tools": listed(offered(tools))})
            case "tools/call":
                episode = self._named(request) or episode
                if episode is None:
                    raise Refusal(INVALID_PARAMS, "no session: send session_id, which openenv/session/create answers")
                action = called(request.params, episode.tools())
                answer = episode.ask(logged(action))
                result = answer if isinstance(answer, bytes) else await asyncio.shield(answer)
                episode.took()
                return shown(result, episode.index, data=True)
            case "ping":
                return b"{}"
        raise Refusal(METHOD_NOT_FOUND, f"Method not found: {request.method[:64]}")

    def _named(self, request: Request) -> Episode | None:
        """The session that the params name. Raises Refusal."""
        id = request.params.get("session_id")
        if id is None:
            return None
        if not isinstance(id, str):
            raise Refusal(INVALID_PARAMS, "session_id is a text")
        try:
            return self.host.episode(id, self.env)
        except UnknownSession:
            raise Refusal(INVALID_PARAMS, f"Unknown session_id: {id[:128]}") from None
