"""One episode as an MCP session: the world's tools are the session's, and its id is the session's id."""

from __future__ import annotations

import asyncio
import base64
import binascii

from pydantic import JsonValue
from pydantic_core import to_json

from envserver.errors import GymError, UnknownSession
from envserver.protocols._mcp.rpc import INVALID_PARAMS, Refusal
from envserver.protocols._mcp.tools import called, shown, told
from envserver.protocols.base import Episode, Host
from envserver.schema import Opened
from envserver.session import logged

__all__ = ["INDEX", "call", "event_id", "instructions", "landed", "replayed"]

INDEX = "turnhalle/index"
"""Key in a call's `_meta`: steps taken before it. Repeated with it, a call is played once."""


def instructions(opened: Opened) -> str:
    """What a model is told before its first call: the world's instructions and what is seen first."""
    seen = opened.result.observation
    choices = "\nAccepted here:\n" + "\n".join(seen.choices) if seen.choices else ""
    return f"{opened.instructions}\n\n{seen.text}{choices}"


def call(episode: Episode, params: dict[str, JsonValue]) -> bytes | asyncio.Future[bytes]:
    """Begin a `tools/call`: the CallToolResult where it is there at once, else the StepResult that will be.

    Raises Refusal for a call that is none, and UnknownSession. What the world refuses is a result that is an error.
    """
    action = called(params, episode.tools())
    meta = params.get("_meta")
    index = meta.get(INDEX) if isinstance(meta, dict) else None
    if index is not None:
        if type(index) is not int or index < 0:
            raise Refusal(INVALID_PARAMS, f"{INDEX} is a count of steps")
        episode.index = index
    try:
        answer = episode.ask(logged(action))
    except UnknownSession:
        raise
    except GymError as error:
        return told(error.detail, error=type(error).__name__)
    return shown(answer, episode.index + 1) if isinstance(answer, bytes) else answer


async def landed(answer: asyncio.Future[bytes], index: int) -> bytes:
    """The CallToolResult of step `index`, once it is played."""
    try:
        return shown(await asyncio.shield(answer), index + 1)
    except GymError as error:
        return told(error.detail, error=type(error).__name__)


def event_id(id: int | str | None, index: int) -> str:
    """The id of the event that begins the stream of a call: which request, which step."""
    return f"{index}.{base64.urlsafe_b64encode(to_json(id)).decode()}"


async def replayed(host: Host, session: str, last: str) -> bytes | None:
    """The message that follows the event `last`, waited for where its step is being played; None where there is none.

    Raises Refusal for an event that never was, and UnknownSession.
    """
    index_text, _, id_text = last.partition(".")
    found = host.sessions.session(session)
    try:
        index, id = int(index_text), base64.urlsafe_b64decode(id_text.removesuffix("/done"))
    except (ValueError, binascii.Error):
        raise Refusal(INVALID_PARAMS, f"no event of this session is '{last[:128]}'") from None
    if id_text.endswith("/done"):
        return None
    if index == len(found.actions) and found.playing is not None:
        await asyncio.wait([found.playing])
    if 0 <= index < len(found.actions):
        result = shown(found.results[index + 1], index + 1)
    elif found.failure is not None and index == len(found.actions):
        result = told(found.failure.detail, error=type(found.failure).__name__)
    else:
        raise Refusal(INVALID_PARAMS, f"no event of this session is '{last[:128]}'")
    return b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id, result)
