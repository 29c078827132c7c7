"""The HTTP routes of a served policy: OpenAI's, and those that say how good it was.

Errors have OpenAI's shape. A token, where one is set, guards everything but /health.
"""

from __future__ import annotations

import hmac
import json
import re
import uuid
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any

from fastapi import Depends, FastAPI, Request, Response
from fastapi.responses import JSONResponse, StreamingResponse
from starlette.exceptions import HTTPException

from trainers.serving.desk import Asked, Desk
from trainers.serving.sessions import NoSession
from trainers.serving.speech import Piece
from trainers.serving.wire import (
    SESSION,
    ChatRequest,
    EndRequest,
    Feedback,
    Refused,
    chunk,
    completion,
    logprobs_of,
    parsed,
    problem,
    usage,
)

__all__ = ["create_app"]

HEADER = "X-Session"


def create_app(desk: Desk, *, token: str | None, learning: Callable[[], dict[str, Any]]) -> FastAPI:
    """The application; `learning` says how the scheduler is."""

    def guard(request: Request) -> None:
        if token is not None and request.url.path != "/health" and not _admits(request, token):
            raise Refused(401, "send the server's token as 'Authorization: Bearer ...'", code="invalid_api_key")

    app = FastAPI(title="Turnhalle", docs_url=None, redoc_url=None, openapi_url=None, dependencies=[Depends(guard)])

    @app.exception_handler(Refused)
    async def _on_refused(request: Request, error: Refused) -> Response:
        return _refusal(error)

    @app.exception_handler(NoSession)
    async def _on_no_session(request: Request, error: NoSession) -> Response:
        return _refusal(Refused(404, str(error), param="session", code="no_such_session"))

    @app.exception_handler(HTTPException)
    async def _on_http(request: Request, error: HTTPException) -> Response:
        path = request.url.path[:128]
        return _refusal(Refused(error.status_code, f"{request.method} {path}: {error.detail}"))

    @app.exception_handler(Exception)
    async def _on_failure(request: Request, error: Exception) -> Response:
        return _refusal(_failure(error))

    @app.get("/health")
    async def health() -> dict[str, Any]:
        """Liveness."""
        return {"status": "ok", "model": desk.model}

    @app.get("/v1/models")
    async def models() -> dict[str, Any]:
        """The one model there is."""
        return {
            "object": "list",
            "data": [{"id": desk.model, "object": "model", "created": 0, "owned_by": "turnhalle"}],
        }

    @app.get("/v1/learning")
    async def state() -> dict[str, Any]:
        """What the scheduler is at, and what waits for it."""
        return learning()

    @app.post("/v1/chat/completions")
    async def completions(request: Request) -> Response:
        """One answer, whole or as a stream of events."""
        asked = parsed(ChatRequest, await _body(request, desk.config.body_limit_bytes))
        session = _session(request.headers.get(HEADER), asked)
        answer = desk.answer(asked, session)
        id = f"chatcmpl-{uuid.uuid4().hex}"
        if not asked.stream:
            async with aclosing(answer):
                begun = await anext(answer)
                pieces = [piece async for piece in answer if isinstance(piece, Piece)]
            assert isinstance(begun, Asked)
            name = begun.conversation.session
            logprobs = logprobs_of(desk.chat, pieces) if asked.logprobs else None
            return JSONResponse(
                completion(id, desk.model, name, pieces, len(begun.prompt_ids), logprobs), headers={HEADER: name}
            )
        begun = await anext(answer)
        assert isinstance(begun, Asked)
        events = _events(desk, begun, answer, id)
        headers = {HEADER: begun.conversation.session, "Cache-Control": "no-cache"}
        return StreamingResponse(events, media_type="text/event-stream", headers=headers)

    @app.post("/v1/feedback")
    async def feedback(request: Request) -> dict[str, Any]:
        """How good a turn of an open session was."""
        said = parsed(Feedback, await _body(request, desk.config.body_limit_bytes))
        index = desk.sessions.rate(said.session, said.turn, said.reward)
        return {"session": said.session, "turn": index, "reward": said.reward}

    @app.post("/v1/sessions/{session}/end")
    async def end(session: str, request: Request) -> dict[str, Any]:
        """A session is over."""
        body = await _body(request, desk.config.body_limit_bytes)
        said = parsed(EndRequest, body or b"{}")
        over = await desk.sessions.end(session, said.reward, said.success)
        return {"session": session, "episode": over.id, "turns": len(over.said), "rated": over.rated}

    return app


async def _events(desk: Desk, begun: Asked, answer: AsyncGenerator[Asked | Piece], id: str) -> AsyncIterator[str]:
    """The answer as server-sent events; what goes wrong on the way is the last of them."""
    name, asked = begun.conversation.session, begun.request
    yield _event(chunk(id, desk.model, name, {"role": "assistant", "content": ""}))
    try:
        async with aclosing(answer):
            async for piece in answer:
                assert isinstance(piece, Piece)
                logprobs = logprobs_of(desk.chat, [piece]) if asked.logprobs else None
                if piece.text or (logprobs and logprobs["content"]):
                    yield _event(chunk(id, desk.model, name, {"content": piece.text}, logprobs=logprobs))
                if piece.whole is not None:
                    yield _event(chunk(id, desk.model, name, {}, finish=piece.whole.stop))
                    if asked.stream_options is not None and asked.stream_options.include_usage:
                        used = usage(len(begun.prompt_ids), len(piece.whole.ids))
                        yield _event(chunk(id, desk.model, name, None, used=used))
    except Exception as error:
        yield _event(problem(_failure(error)))
    yield "data: [DONE]\n\n"


def _event(data: dict[str, Any]) -> str:
    return f"data: {json.dumps(data)}\n\n"


def _session(header: str | None, asked: ChatRequest) -> str | None:
    if header is not None and not re.fullmatch(SESSION, header):
        raise Refused(
            400,
            f"the header {HEADER} is no name of a session: say 1 to 128 letters, digits, dots, colons, hyphens or "
            "underscores",
            param="session",
        )
    return header if header is not None else asked.session


async def _body(request: Request, limit_bytes: int) -> bytes:
    """The body, as far as it is allowed to go. Raises Refused."""
    parts: list[bytes] = []
    seen = 0
    async for part in request.stream():
        seen += len(part)
        if seen > limit_bytes:
            raise Refused(413, f"the body is larger than {limit_bytes} bytes; send less")
        parts.append(part)
    return b"".join(parts)


def _admits(request: Request, token: str) -> bool:
    kind, _, given = request.headers.get("authorization", "").partition(" ")
    # Latin-1 is how Starlette read the header; the token itself is UTF-8.
    return kind.lower() == "bearer" and hmac.compare_digest(given.strip().encode("latin-1"), token.encode())


def _failure(error: Exception) -> Refused:
    return error if isinstance(error, Refused) else Refused(500, f"{type(error).__name__}: {error}")


def _refusal(error: Refused) -> Response:
    headers = {"WWW-Authenticate": "Bearer"} if error.status == 401 else None
    return JSONResponse(problem(error), error.status, headers)
