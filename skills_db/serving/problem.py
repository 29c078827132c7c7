"""What HTTP answers where something went wrong: `application/problem+json`, its `type` the error's name."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict
from starlette.exceptions import HTTPException

from skills_db.errors import (
    BadRecord,
    EditConflict,
    StoreBusy,
    StoreClosed,
    StoreError,
    StoreFull,
    StoreReadOnly,
    StoreUnreachable,
    UnknownRecord,
)

__all__ = ["HANDLERS", "Forbidden", "Problem", "Refused", "Unauthorized", "refusals"]

RETRY_S = 1
"""When to ask a busy memory again."""

TITLES = {
    401: "a bearer token is needed",
    403: "this memory may not be written",
    404: "there is nothing of this name",
    405: "the route takes another method",
    409: "the record was changed in the meantime",
    413: "the body is too large",
    422: "the request is refused",
    500: "memory failed",
    503: "memory does not answer",
    507: "memory is full",
}

STATUSES: dict[type[StoreError], int] = {
    BadRecord: 422,
    EditConflict: 409,
    StoreBusy: 503,
    StoreClosed: 503,
    StoreFull: 507,
    StoreReadOnly: 403,
    StoreUnreachable: 503,
    UnknownRecord: 404,
}
"""Any other StoreError is 500."""


class Problem(BaseModel):
    """The one shape of every error."""

    model_config = ConfigDict(frozen=True, use_attribute_docstrings=True)

    type: str
    """The error's kind, such as `UnknownRecord`."""
    title: str
    status: int
    detail: str
    """One sentence: what was wrong and what to do."""


class Refused(HTTPException):
    """Raised where a request does not reach the store."""

    kind = "BadRequest"

    def __init__(self, detail: str, status: int = 422, headers: dict[str, str] | None = None) -> None:
        super().__init__(status, detail, headers)


class Unauthorized(Refused):
    """Raised where the bearer token is missing or wrong."""

    kind = "Unauthorized"

    def __init__(self) -> None:
        super().__init__("send the server's token as 'Authorization: Bearer ...'", 401, {"WWW-Authenticate": "Bearer"})


class Forbidden(Refused):
    """Raised where the server has no token, and so nobody may write."""

    kind = "Forbidden"

    def __init__(self) -> None:
        super().__init__("this server only answers: start it with a token (--token) for what writes", 403)


def refusals(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """What OpenAPI says of a route's errors, with those that every route may answer."""
    content = {"application/problem+json": {"schema": Problem.model_json_schema()}}
    return {status: {"description": TITLES[status], "content": content} for status in (*statuses, 422, 500, 503)}


def _answer(kind: str, status: int, detail: str, headers: Mapping[str, str] | None = None) -> Response:
    problem = Problem(type=kind, title=TITLES.get(status, TITLES[422]), status=status, detail=detail)
    return Response(problem.model_dump_json(), status, headers, "application/problem+json")


async def _on_refused(_: Request, error: Exception) -> Response:
    assert isinstance(error, Refused)
    return _answer(error.kind, error.status_code, error.detail, error.headers)


async def _on_store_error(_: Request, error: Exception) -> Response:
    status = next((status for kind, status in STATUSES.items() if isinstance(error, kind)), 500)
    headers = {"Retry-After": str(RETRY_S)} if isinstance(error, StoreBusy) else None
    return _answer(type(error).__name__, status, str(error), headers)


async def _on_invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    first, *others = error.errors()
    if first["type"] == "json_invalid":
        return _answer("BadRequest", 422, f"the body is not JSON: {first['ctx']['error']}")
    if isinstance(first.get("input"), bytes):
        detail = "the body is not said to be JSON; send it with 'Content-Type: application/json'"
        return _answer("BadRequest", 422, detail)
    where = ".".join(str(part) for part in first["loc"] if part not in ("body", "query", "path"))[:200]
    more = f" (and {len(others)} more)" if others else ""
    said = first["msg"].removeprefix("Value error, ")
    return _answer("BadRequest", 422, f"{where or 'the body'}: {said}{more}")


async def _on_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    asked = f"{request.method} {request.url.path[:200]}"
    page = f"{request.scope.get('root_path', '')}/docs"
    details = {404: f"there is no {asked}; see {page}", 405: f"{asked} is not allowed; see {page}"}
    status = 422 if error.status_code == 400 else error.status_code
    return _answer("BadRequest", status, details.get(status, str(error.detail)), error.headers)


async def _on_bug(_: Request, __: Exception) -> Response:
    return _answer("StoreError", 500, "memory failed; the server's log says more")


HANDLERS = {
    Refused: _on_refused,
    StoreError: _on_store_error,
    RequestValidationError: _on_invalid,
    HTTPException: _on_http,
    Exception: _on_bug,
}
