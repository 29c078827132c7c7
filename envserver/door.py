"""What every request passes first: the bearer token, the limit of a body, the way to the WebSocket or a protocol."""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import Response

from envserver.config import ServerConfig
from envserver.errors import BadRequest, GymError, Unauthorized
from envserver.protocols.base import Protocol
from envserver.socket import Socket

__all__ = ["Door", "refusal"]

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


class Door:
    """ASGI middleware: the bearer token, the body's limit, and the way to the WebSocket and to the protocols."""

    def __init__(self, app: Application, config: ServerConfig) -> None:
        self.app = app
        self.config = config
        self.token = config.token.get_secret_value().encode() if config.token else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["path"] != "/health" and not self._admits(scope):
            await self._refuse(scope, send, Unauthorized("send the server's token as 'Authorization: Bearer ...'"), 401)
            return
        state = scope["app"].state
        name = scope["path"][1:].partition("/")[0]
        protocol: Protocol | None = state.protocols.get(name)
        if protocol is not None:
            scope = {**scope, "root_path": f"{scope['root_path']}/{name}"}
        elif name != "v1":
            protocol = _rooted(state.protocols.values(), scope)
        if scope["type"] == "http":
            await self._limited(self.app if protocol is None else protocol, scope, receive, send)
        elif protocol is not None and protocol.websocket:
            await protocol(scope, receive, send)
        elif scope["path"] == "/v1/ws":
            await Socket(state.sessions, state.verbs, self.config).run(scope, receive, send)
        else:
            await self._refuse(scope, send, BadRequest("no WebSocket is here; it is at /v1/ws"), 404)

    def _admits(self, scope: Scope) -> bool:
        if self.token is None:
            return True
        headers = dict(scope["headers"])
        kind, _, token = headers.get(b"authorization", b"").partition(b" ")
        # Clients of ORS have no other header for it.
        given = token.strip() if kind.lower() == b"bearer" else headers.get(b"x-api-key", b"")
        return hmac.compare_digest(given, self.token)

    async def _limited(self, app: Application, scope: Scope, receive: Receive, send: Send) -> None:
        limit, seen = self.config.body_limit_bytes, 0
        too_large = BadRequest(f"the body is larger than {limit} bytes; send less")
        declared = next((value for name, value in scope["headers"] if name == b"content-length"), b"0")
        if declared.isdigit() and int(declared) > limit:
            await self._refuse(scope, send, too_large, 413)
            return

        async def counted() -> dict[str, Any]:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > limit:
                raise HTTPException(413, too_large.detail)
            return message

        await app(scope, counted, send)

    @staticmethod
    async def _refuse(scope: Scope, send: Send, error: GymError, status: int) -> None:
        response = refusal(error, status)
        prefix = "websocket.http.response" if scope["type"] == "websocket" else "http.response"
        await send({"type": f"{prefix}.start", "status": status, "headers": response.raw_headers})
        await send({"type": f"{prefix}.body", "body": response.body})


def _rooted(protocols: Iterable[Protocol], scope: Scope) -> Protocol | None:
    """The protocol whose client asks at the root, by its User-Agent."""
    rooted = [protocol for protocol in protocols if protocol.agents]
    if not rooted:
        return None
    agent = next((value for name, value in scope["headers"] if name == b"user-agent"), b"")
    return next((protocol for protocol in rooted if agent.startswith(protocol.agents)), None)


def refusal(error: GymError, status: int | None = None) -> Response:
    """An error as `application/problem+json`, with its own status or another."""
    problem = error.problem()
    if status is not None:
        problem = problem.model_copy(update={"status": status})
    headers = {}
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return Response(problem.model_dump_json(), problem.status, headers, "application/problem+json")
