"""JSON-RPC 2.0: what a message is, how it is answered and refused."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError
from pydantic_core import to_json

from envserver.errors import BadRequest, GymError, GymFull, UnknownEnv, UnknownSession, UnknownTask
from envserver.verbs import sentence

__all__ = ["Refusal", "Request", "failed", "read", "succeeded"]

INVALID_REQUEST, METHOD_NOT_FOUND, INVALID_PARAMS, INTERNAL_ERROR, SERVER_ERROR = -32600, -32601, -32602, -32603, -32000


class Refusal(Exception):
    """Raised where a request is answered by an error."""

    def __init__(self, code: int, message: str, **data: JsonValue) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.data = data

    @classmethod
    def of(cls, error: GymError) -> Refusal:
        """A GymError as JSON-RPC has it."""
        asked_wrongly = (BadRequest, UnknownEnv, UnknownSession, UnknownTask)
        code = INVALID_PARAMS if isinstance(error, asked_wrongly) else SERVER_ERROR
        more: dict[str, JsonValue] = {"retry_after_s": error.retry_after_s} if isinstance(error, GymFull) else {}
        return cls(code, error.detail, kind=type(error).__name__, **more)


class Request(BaseModel):
    """A request, or a notification where it has no id."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    jsonrpc: str = "2.0"
    id: int | str | None = None
    method: str
    params: dict[str, JsonValue] = {}


def read(item: Any) -> Request:
    """One message. Raises Refusal for what is none."""
    if isinstance(item, dict) and item.get("jsonrpc", "2.0") == "2.0":
        try:
            return Request.model_validate({**item, "params": item.get("params") or {}})
        except ValidationError as error:
            # Every other field is simple; wrong params are the caller's own to mend.
            params = error.errors()[0]["loc"][0] == "params"
            raise Refusal(INVALID_PARAMS if params else INVALID_REQUEST, sentence(error)) from None
    raise Refusal(INVALID_REQUEST, 'a message is an object such as {"jsonrpc": "2.0", "id": 1, "method": "ping"}')


def succeeded(id: int | str | None, result: bytes) -> bytes:
    """The answer with a result, which is JSON already."""
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (to_json(id), result)


def failed(id: Any, refusal: Refusal) -> bytes:
    """The answer with an error."""
    error = {"code": refusal.code, "message": refusal.message} | ({"data": refusal.data} if refusal.data else {})
    return to_json({"jsonrpc": "2.0", "id": id if isinstance(id, (int, str)) else None, "error": error})
