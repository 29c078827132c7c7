"""How the native routes read what is asked: strictly."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic_core import from_json

from envserver.errors import BadRequest

__all__ = ["StrictRequest", "StrictRoute"]


class StrictRequest(Request):
    """A request whose JSON has no NaN and no infinity."""

    async def json(self) -> Any:
        try:
            return from_json(await self.body(), allow_inf_nan=False)
        except ValueError as error:
            raise json.JSONDecodeError(str(error), "", 0) from None


class StrictRoute(APIRoute):
    """A route that reads StrictRequests and refuses a query's unknown keys."""

    def get_route_handler(self) -> Callable[[Request], Awaitable[Response]]:  # type: ignore[override]
        handler = super().get_route_handler()

        known = {field.alias for field in self.dependant.query_params}

        async def handle(request: Request) -> Response:
            unknown = known and sorted(request.query_params.keys() - known)
            if unknown:
                detail = f"this route has no parameter '{unknown[0][:128]}'; it has: {', '.join(sorted(known))}"
                raise BadRequest(detail)
            return await handler(StrictRequest(request.scope, request.receive))

        return handle
