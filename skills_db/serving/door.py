"""What a request passes before its route: the token, where it writes, then the size of its body, then its keys."""

from __future__ import annotations

import hmac
import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic_core import from_json

from skills_db.serving.problem import Forbidden, Refused, Unauthorized

__all__ = ["BODY_LIMIT_BYTES", "GuardedRoute", "StrictRoute"]

BODY_LIMIT_BYTES = 8 << 20
"""A skill with its files, and what JSON makes of them."""


class StrictRequest(Request):
    """A request whose body is no longer than the limit, and JSON without NaN and infinity."""

    async def body(self) -> bytes:
        """The body, read once."""
        if not hasattr(self, "_body"):
            declared = self.headers.get("content-length", "")
            size = int(declared) if declared.isdecimal() else 0
            chunks: list[bytes] = []
            if size <= BODY_LIMIT_BYTES:
                size = 0
                async for chunk in self.stream():
                    size += len(chunk)
                    if size > BODY_LIMIT_BYTES:
                        break
                    chunks.append(chunk)
            if size > BODY_LIMIT_BYTES:
                # The rest is not read, so nothing can follow it.
                headers = {"Connection": "close"}
                raise Refused(f"the body is larger than {BODY_LIMIT_BYTES} bytes; send less", 413, headers)
            self._body = b"".join(chunks)
        return self._body

    async def json(self) -> Any:
        """The body's value. Raises JSONDecodeError."""
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from None


class StrictRoute(APIRoute):
    """A route that reads StrictRequests and refuses a query's unknown keys."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handler = super().get_route_handler()
        known = _query_keys(self)

        async def handle(request: Request) -> Response:
            self.admit(request)
            unknown = sorted(request.query_params.keys() - known)
            if unknown:
                there = f"it has: {', '.join(sorted(known))}" if known else "it has none"
                raise Refused(f"this route has no parameter '{unknown[0][:128]}'; {there}")
            return await handler(StrictRequest(request.scope, request.receive))

        return handle

    def admit(self, request: Request) -> None:
        """Raises Refused for who may not come in; everybody may."""


class GuardedRoute(StrictRoute):
    """A route for those who have the application's token; for nobody where it has none."""

    def admit(self, request: Request) -> None:
        """Raises Unauthorized, Forbidden."""
        token: str | None = request.app.state.token
        if token is None:
            raise Forbidden
        kind, _, given = request.headers.get("authorization", "").partition(" ")
        # Latin-1 is how Starlette read the header; the token itself is UTF-8.
        right = hmac.compare_digest(given.strip().encode("latin-1"), token.encode())
        if kind.lower() != "bearer" or not right:
            raise Unauthorized


def _query_keys(route: APIRoute) -> set[str]:
    """Names in its query; a model's fields are as many names."""
    names: set[str] = set()
    for field in route.dependant.query_params:
        kind = field.field_info.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            names |= kind.model_fields.keys()
        else:
            names.add(field.alias)
    return names
