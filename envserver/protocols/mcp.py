"""The Model Context Protocol over streamable HTTP, with its handshake: worlds for whatever host has an MCP client.

`/mcp?env=keydoor&key=...` (or `split` and `index`, or `seed`, and `options` as JSON) is a server of one episode:
`initialize` opens an ordinary session, whose id is the `Mcp-Session-Id`, the world's tools are the server's, `DELETE`
closes it, and one that was closed or reaped answers 404, upon which a client begins anew. `/mcp` alone is a server
without sessions, whose tools open, step and close worlds. An answer that is there at once is JSON; one that is waited
for is a stream of events, whose first names the step: a `GET` with it as `Last-Event-ID` gets the answer from the
session's log: the step is not played again.
"""

from __future__ import annotations

import contextlib
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from pydantic import ValidationError
from pydantic_core import from_json, to_json
from starlette.exceptions import HTTPException

import envserver
from envserver.errors import BadRequest, GymError, UnknownSession
from envserver.protocols._mcp.bound import call, event_id, instructions, landed, replayed
from envserver.protocols._mcp.hall import Hall
from envserver.protocols._mcp.rpc import (
    INVALID_REQUEST,
    METHOD_NOT_FOUND,
    Refusal,
    Request,
    failed,
    read,
    succeeded,
)
from envserver.protocols._mcp.tools import listed, told
from envserver.protocols.base import Choice, Episode, Host, Message, Protocol, Receive, Send
from envserver.toolset import offered
from envserver.verbs import sentence

__all__ = ["Mcp"]

VERSIONS = ("2024-11-05", "2025-03-26", "2025-06-18", "2025-11-25")
"""Revisions that begin with `initialize`."""
PRIMED = "2025-11-25"
"""The first whose streams may begin with an event that carries nothing but its id."""
JSON = [(b"content-type", b"application/json")]
EVENTS = [(b"content-type", b"text/event-stream"), (b"cache-control", b"no-cache, no-transform")]


class Mcp(Protocol):
    """MCP, revisions 2024-11-05 to 2025-11-25, as its streamable HTTP has it."""

    def __init__(self, host: Host) -> None:
        super().__init__(host)
        self.hall = Hall(host)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        # A send to a client that has gone raises OSError.
        with contextlib.suppress(OSError):
            if scope["path"].rstrip("/") != scope["root_path"]:
                await _answer(send, 404, _refused(f"there is no {scope['path'][:200]}; MCP is at /mcp"))
            elif _foreign(headers):
                await _answer(send, 403, _refused("this Origin is not the server's own; it is refused"))
            elif headers.get(b"mcp-protocol-version", PRIMED) not in VERSIONS:
                await _answer(send, 400, _refused(f"this server speaks MCP {', '.join(VERSIONS)}"))
            elif scope["method"] == "POST":
                await self._post(scope, headers, receive, send)
            elif scope["method"] == "DELETE":
                await self._delete(headers, send)
            elif scope["method"] == "GET" and b"last-event-id" in headers:
                await self._resume(headers, send)
            else:
                refused = _refused("there is no stream of the server's own here; POST messages")
                await _answer(send, 405, refused, [(b"allow", b"POST, DELETE")])

    async def _post(self, scope: Message, headers: dict[bytes, str], receive: Receive, send: Send) -> None:
        item: Any = None
        try:
            try:
                item = from_json(await _body(receive), allow_inf_nan=False)
            except ValueError:
                raise Refusal(-32700, "the body is not JSON") from None
            if isinstance(item, dict) and "method" not in item and ("result" in item or "error" in item):
                await _answer(send, 202)
                return
            request = read(item)
            if request.id is None:
                await _answer(send, 202)
                return
            await self._request(request, scope, headers, send)
        except HTTPException as error:
            await _answer(send, error.status_code, _refused(error.detail))
        except Refusal as refusal:
            id = item.get("id") if isinstance(item, dict) else None
            status = 400 if refusal.code in (-32700, INVALID_REQUEST) else 200
            await _answer(send, status, failed(id, refusal))
        except UnknownSession as error:
            await _answer(send, 404, failed(item.get("id"), Refusal.of(error)))
        except GymError as error:
            await _answer(send, 200, failed(item.get("id"), Refusal.of(error)))

    async def _request(self, request: Request, scope: Message, headers: dict[bytes, str], send: Send) -> None:
        session = headers.get(b"mcp-session-id")
        episode = self.host.episode(session) if session is not None and request.method != "initialize" else None
        query = scope["query_string"]
        match request.method:
            case "initialize":
                await self._initialize(request, query, send)
                return
            case "ping":
                result = b"{}"
            case "tools/list":
                result = to_json({"tools": await self._tools(episode, query)})
            case "tools/call" if episode is not None:
                await self._call(request, episode, headers, send)
                return
            case "tools/call" if _choice(query)[0] is None:
                result = await self._hall(request)
            case "tools/call":
                raise Refusal(INVALID_REQUEST, "no session: initialize first, and send its Mcp-Session-Id")
            case _:
                raise Refusal(METHOD_NOT_FOUND, f"Method not found: {request.method[:64]}")
        await _answer(send, 200, succeeded(request.id, result))

    async def _initialize(self, request: Request, query: bytes, send: Send) -> None:
        asked = request.params.get("protocolVersion")
        answer = {
            "protocolVersion": asked if asked in VERSIONS else VERSIONS[-1],
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "turnhalle", "version": envserver.__version__},
        }
        env, choice = _choice(query)
        headers = []
        if env is None:
            answer["instructions"] = "Worlds to play: list_envs, then open one and step it by its session's id."
        else:
            client = request.params.get("clientInfo")
            name = client.get("name") if isinstance(client, dict) else None
            episode, opened = await self.host.open(await self.host.task(env, choice), owner=str(name or "mcp")[:128])
            answer["instructions"] = instructions(opened)
            headers = [(b"mcp-session-id", episode.id.encode())]
        await _answer(send, 200, succeeded(request.id, to_json(answer)), headers)

    async def _tools(self, episode: Episode | None, query: bytes) -> list[dict[str, Any]]:
        if episode is not None:
            return listed(offered(episode.tools()))
        env, _ = _choice(query)
        return self.hall.tools() if env is None else listed(offered((await self.host.card(env)).tools))

    async def _hall(self, request: Request) -> bytes:
        try:
            return await self.hall.call(request.params)
        except GymError as error:
            return told(error.detail, error=type(error).__name__)

    async def _call(self, request: Request, episode: Episode, headers: dict[bytes, str], send: Send) -> None:
        answer = call(episode, request.params)
        if isinstance(answer, bytes):
            await _answer(send, 200, succeeded(request.id, answer))
        elif "text/event-stream" not in headers.get(b"accept", ""):
            await _answer(send, 200, succeeded(request.id, await landed(answer, episode.index)))
        else:
            id = event_id(request.id, episode.index)
            await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
            if headers.get(b"mcp-protocol-version", "") >= PRIMED:
                await _event(send, id, b"")
            await _event(send, f"{id}/done", succeeded(request.id, await landed(answer, episode.index)))
            await send({"type": "http.response.body"})

    async def _resume(self, headers: dict[bytes, str], send: Send) -> None:
        try:
            last = headers[b"last-event-id"]
            message = await replayed(self.host, headers.get(b"mcp-session-id", ""), last)
        except UnknownSession as error:
            await _answer(send, 404, failed(None, Refusal.of(error)))
            return
        except Refusal as refusal:
            await _answer(send, 400, failed(None, refusal))
            return
        await send({"type": "http.response.start", "status": 200, "headers": EVENTS})
        if message is not None:
            await _event(send, f"{last}/done", message)
        await send({"type": "http.response.body"})

    async def _delete(self, headers: dict[bytes, str], send: Send) -> None:
        try:
            self.host.episode(headers.get(b"mcp-session-id", "")).close()
        except UnknownSession as error:
            await _answer(send, 404, failed(None, Refusal.of(error)))
            return
        await _answer(send, 204)


def _choice(query: bytes) -> tuple[str | None, Choice]:
    """Environment and task in an URL's query. Raises BadRequest."""
    asked: dict[str, Any] = dict(parse_qsl(query.decode("latin-1")))
    env = asked.pop("env", None)
    if unknown := sorted(asked.keys() - Choice.model_fields.keys()):
        raise BadRequest(f"/mcp has no parameter '{unknown[0][:64]}'; it has env, {', '.join(Choice.model_fields)}")
    try:
        for name in asked.keys() & {"index", "seed"}:
            asked[name] = int(asked[name])
        if "options" in asked:
            asked["options"] = from_json(asked["options"], allow_inf_nan=False)
        return env, Choice.model_validate(asked)
    except ValidationError as error:
        raise BadRequest(sentence(error)) from None
    except ValueError:
        raise BadRequest("index and seed are integers, options is a JSON object") from None


def _foreign(headers: dict[bytes, str]) -> bool:
    """Whether a browser's page of another host asks: DNS may have been bent for it."""
    origin = headers.get(b"origin")
    return origin is not None and urlsplit(origin).netloc != headers.get(b"host")


async def _body(receive: Receive) -> bytes:
    parts = []
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ConnectionResetError("the client has gone")
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


def _refused(detail: str) -> bytes:
    return failed(None, Refusal(INVALID_REQUEST, detail))


async def _answer(send: Send, status: int, body: bytes = b"", headers: list[tuple[bytes, bytes]] | None = None) -> None:
    shown = [*(JSON if body else []), *(headers or []), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": shown if status != 204 else []})
    await send({"type": "http.response.body", "body": body})


async def _event(send: Send, id: str, data: bytes) -> None:
    body = b"event: message\nid: %b\ndata: %b\n\n" % (id.encode(), data)
    await send({"type": "http.response.body", "body": body, "more_body": True})
