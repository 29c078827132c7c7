"""OpenAI's chat completions on the wire: what a request may say, and what is answered.

Rule: a field that would change which tokens are drawn or how many answers there are, and that is not done here, is
refused unless it has its default; every other unknown field is passed over. Text is the only content.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator
from pydantic_core import from_json

from agents.chat import Chat
from agents.types import Message
from trainers.serving.speech import HALF, Piece

__all__ = [
    "SESSION",
    "ChatRequest",
    "EndRequest",
    "Feedback",
    "Refused",
    "chunk",
    "completion",
    "logprobs_of",
    "parsed",
    "problem",
    "usage",
]

UNDONE: dict[str, tuple[Any, ...]] = {
    "n": (1,),
    "top_p": (1,),
    "top_k": (0, -1),
    "min_p": (0,),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "repetition_penalty": (1,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "tools": ([],),
    "functions": ([],),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "audio": (),
}
"""Fields that are not done, and what they may say all the same; null is always allowed."""
M = TypeVar("M", bound=BaseModel)

SESSION = r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}"


class Refused(Exception):
    """Raised for a request that cannot be answered; its text is the one sentence that is sent."""

    def __init__(self, status: int, text: str, *, param: str | None = None, code: str | None = None) -> None:
        super().__init__(text)
        self.status, self.param, self.code = status, param, code


class _Body(BaseModel):
    model_config = ConfigDict(frozen=True, strict=True)


class Part(_Body):
    """A part of a message's content."""

    type: Literal["text"]
    text: str


class ChatMessage(_Body):
    """One message; `developer` is another word for `system`."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[Part]

    def read(self) -> Message:
        """As the policy's template takes it."""
        text = self.content if isinstance(self.content, str) else "".join(part.text for part in self.content)
        return {"role": "system" if self.role == "developer" else self.role, "content": text}


class StreamOptions(_Body):
    """What a stream has beside the answer."""

    include_usage: bool = False


class ChatRequest(_Body):
    """The body of `POST /v1/chat/completions`."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    temperature: float | None = Field(None, ge=0, le=2)
    max_tokens: int | None = Field(None, ge=1, lt=1 << 31)
    max_completion_tokens: int | None = Field(None, ge=1, lt=1 << 31)
    stop: str | list[str] | None = None
    seed: int | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    logprobs: bool | None = None
    session: str | None = Field(None, pattern=f"^{SESSION}$")
    """Ours; the header X-Session goes before it."""

    @field_validator("stop", mode="after")
    @classmethod
    def _few(cls, found: str | list[str] | None) -> str | list[str] | None:
        words = [found] if isinstance(found, str) else found or []
        if len(words) > 4 or any(not word or len(word) > 256 for word in words):
            raise ValueError("at most 4 stop strings of 1 to 256 characters")
        return found

    @property
    def stops(self) -> list[str]:
        """The stop strings."""
        return [self.stop] if isinstance(self.stop, str) else self.stop or []

    @property
    def limit(self) -> int | None:
        """Tokens of the answer at most."""
        return self.max_completion_tokens or self.max_tokens


class Feedback(_Body):
    """The body of `POST /v1/feedback`."""

    session: str
    turn: int | None = Field(None, ge=0)
    """Counted from 0; none: the newest."""
    reward: float = Field(ge=-1e6, le=1e6, allow_inf_nan=False)


class EndRequest(_Body):
    """The body of `POST /v1/sessions/{id}/end`."""

    reward: float | None = Field(None, ge=-1e6, le=1e6, allow_inf_nan=False)
    """For every turn that has none of its own."""
    success: bool | None = None


def parsed(kind: type[M], body: bytes) -> M:
    """A body as what it should be. Raises Refused."""
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise Refused(400, f"the body is no JSON in UTF-8: {error}") from None
    if not isinstance(found, dict):
        raise Refused(400, "the body is no JSON object")
    if kind is ChatRequest:
        for name, allowed in UNDONE.items():
            if name in found and found[name] is not None and found[name] not in allowed:
                raise Refused(400, f"'{name}' is not done here; leave it out", param=name, code="unsupported_parameter")
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Refused(400, f"{where or 'the body'}: {first['msg']}", param=where or None) from None


def problem(error: Refused) -> dict[str, Any]:
    """An error as OpenAI has it."""
    kind = "server_error" if error.status >= 500 else "invalid_request_error"
    return {"error": {"message": str(error), "type": kind, "param": error.param, "code": error.code}}


def completion(
    id: str, model: str, session: str, pieces: Sequence[Piece], prompt_tokens: int, logprobs: dict[str, Any] | None
) -> dict[str, Any]:
    """A whole answer; `session` is ours."""
    last = pieces[-1]
    assert last.whole is not None
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": last.answer, "refusal": None},
        "logprobs": logprobs,
        "finish_reason": last.whole.stop,
    }
    return {
        "id": id,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [choice],
        "usage": usage(prompt_tokens, len(last.whole.ids)),
        "system_fingerprint": f"version-{last.whole.version}",
        "session": session,
    }


def chunk(
    id: str,
    model: str,
    session: str,
    delta: dict[str, str] | None,
    *,
    finish: str | None = None,
    logprobs: dict[str, Any] | None = None,
    used: dict[str, int] | None = None,
) -> dict[str, Any]:
    """One event of a stream; without a delta it has no choice."""
    choice = {"index": 0, "delta": delta, "logprobs": logprobs, "finish_reason": finish}
    return {
        "id": id,
        "object": "chat.completion.chunk",
        "created": int(time.time()),
        "model": model,
        "choices": [] if delta is None else [choice],
        "session": session,
    } | ({} if used is None else {"usage": used})


def usage(prompt_tokens: int, completion_tokens: int) -> dict[str, int]:
    """Tokens that were read and drawn."""
    return {
        "prompt_tokens": prompt_tokens,
        "completion_tokens": completion_tokens,
        "total_tokens": prompt_tokens + completion_tokens,
    }


def logprobs_of(chat: Chat, pieces: Sequence[Piece]) -> dict[str, Any]:
    """The tokens of these pieces, those that end a turn left out. Of the distribution that was drawn from."""
    content: list[dict[str, Any]] = []
    for piece in pieces:
        for id, logprob in zip(piece.ids, piece.logprobs, strict=True):
            if id not in chat.stop_ids:
                token = chat.decode([id])
                bytes_ = None if HALF in token else list(token.encode())
                said = {"token": token, "logprob": logprob, "bytes": bytes_, "top_logprobs": []}
                content.append(said)
    return {"content": content, "refusal": None}
