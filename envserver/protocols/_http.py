"""What adapters over plain HTTP share: a body that is an object, an action that is a line, a refusal's status."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import from_json, to_json
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response

from envserver.calls import read_line
from envserver.errors import BadRequest, GymError
from envserver.protocols.base import Message
from envserver.schema import Action, ToolSpec
from envserver.verbs import sentence

__all__ = ["Refused", "answer", "body", "json_response", "read", "said"]

Shape = TypeVar("Shape", bound=BaseModel)


class Refused(GymError):
    """Raised for what is refused by HTTP itself, with its status."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


async def answer(
    handle: Callable[[Request], Awaitable[Response]],
    refuse: Callable[[GymError], Response],
    scope: Message,
    receive: Any,
    send: Any,
) -> None:
    """Answer one request, an error in the peer's own shape; who has gone is not answered."""
    try:
        response = await handle(Request(scope, receive))
    except ClientDisconnect:
        return
    except GymError as error:
        response = refuse(error)
        if error.retry_after_s is not None:
            response.headers["Retry-After"] = str(max(1, round(error.retry_after_s)))
    except ValidationError as error:
        response = refuse(BadRequest(sentence(error)))
    except HTTPException as error:
        response = refuse(Refused(error.status_code, error.detail))
    await response(scope, receive, send)


async def body(request: Request) -> dict[str, Any]:
    """The body, an object; empty where there is none. Raises BadRequest."""
    raw = await request.body()
    if not raw:
        return {}
    try:
        item = from_json(raw, allow_inf_nan=False)
    except ValueError:
        raise BadRequest("the body is not JSON") from None
    if not isinstance(item, dict):
        raise BadRequest(f"the body is a JSON object, not {type(item).__name__}")
    return item


async def read(request: Request, shape: type[Shape]) -> Shape:
    """The body in its shape. Raises BadRequest or ValidationError."""
    return shape.model_validate(await body(request))


def said(line: str, tools: Sequence[ToolSpec]) -> Action:
    """A line as the world knows it: in a world of tools a call; a line that is none stays a text, for it to answer."""
    if tools:
        try:
            return read_line(line, tools)
        except (ValueError, RecursionError):
            pass
    return Action(text=line)


def json_response(item: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    """JSON, of bytes that are JSON already or of anything else."""
    return Response(item if isinstance(item, bytes) else to_json(item), status, headers, "application/json")
