"""OpenEnv's shapes: what its clients send, and our results in its words.

An action is one `command`: a text, or in a world of tools a call in one line as `envserver/calls.py` reads it; or it is
OpenEnv's own `call_tool` or `list_tools`. A result's flags and all that follows stand in `metadata`, beside the
observation, where OpenEnv has `done` alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, TypeAdapter, ValidationError
from pydantic_core import to_json

from envserver.calls import read_line
from envserver.errors import GymError, GymFull
from envserver.protocols._mcp.tools import called
from envserver.protocols.base import Choice, Host, split
from envserver.schema import MAX_TEXT_CHARS, Action, ToolSpec
from envserver.verbs import described

__all__ = [
    "CallToolAction",
    "CommandAction",
    "CommandObservation",
    "CommandState",
    "ListToolsAction",
    "Reset",
    "action",
    "complaint",
    "framed",
    "observed",
    "read_action",
    "read_frame",
    "refusal",
]

OVER = (b'"terminated":true', b'"terminated":false,"truncated":true')


class Wire(BaseModel):
    """Base of OpenEnv's shapes."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class CommandAction(Wire):
    """One turn's action."""

    command: Annotated[str, Field(max_length=MAX_TEXT_CHARS)]
    """A text; in a world of tools a call in one line, such as `look 3`, or the call as JSON."""
    metadata: dict[str, JsonValue] = {}
    """Read by nobody."""


class ListToolsAction(Wire):
    """Asks for the tools; no step."""

    type: Literal["list_tools"]
    metadata: dict[str, JsonValue] = {}


class CallToolAction(Wire):
    """Calls one tool."""

    type: Literal["call_tool"]
    tool_name: Annotated[str, Field(min_length=1, max_length=128)]
    arguments: dict[str, JsonValue] = {}
    metadata: dict[str, JsonValue] = {}


class CommandObservation(Wire):
    """What the world shows."""

    text: str
    choices: list[str] = []
    """Commands that are accepted at this state; empty where the form is free."""


class CommandState(Wire):
    """Where the episode is."""

    episode_id: str | None = None
    step_count: Annotated[int, Field(ge=0)] = 0


class Reset(Choice):
    """What a reset may say; all of it is optional, what is not known is ignored."""

    episode_id: Annotated[str, Field(max_length=255)] | None = None
    """Echoed by the state; the session's owner in the server's list."""


class ResetFrame(Wire):
    type: Literal["reset"]
    data: dict[str, JsonValue] = {}


class StepFrame(Wire):
    type: Literal["step"]
    data: dict[str, JsonValue]


class McpFrame(Wire):
    type: Literal["mcp"]
    data: dict[str, JsonValue]


class BareFrame(Wire):
    type: Literal["state", "close"]


FRAMES: dict[str, type[BaseModel]] = {
    "reset": ResetFrame,
    "step": StepFrame,
    "mcp": McpFrame,
    "state": BareFrame,
    "close": BareFrame,
}
MOVES: dict[Any, TypeAdapter[Any]] = {
    "list_tools": TypeAdapter(ListToolsAction),
    "call_tool": TypeAdapter(CallToolAction),
}
COMMAND = TypeAdapter(CommandAction)


def read_frame(item: dict[str, Any]) -> Any:
    """A frame by its type; None for a type that is not there. Raises ValidationError."""
    kind = FRAMES.get(item["type"]) if isinstance(item.get("type"), str) else None
    return kind and kind.model_validate(item)


def read_action(data: dict[str, Any]) -> CommandAction | CallToolAction | ListToolsAction:
    """A step's action. Raises ValidationError."""
    kind = data.get("type")
    move: CommandAction | CallToolAction | ListToolsAction
    move = MOVES.get(kind if isinstance(kind, str) else None, COMMAND).validate_python(data)
    return move


def action(asked: CommandAction | CallToolAction, tools: Sequence[ToolSpec]) -> Action:
    """The action as the world knows it; a line that is no call stays a text, for the world to answer; or Refusal."""
    if isinstance(asked, CallToolAction):
        return called({"name": asked.tool_name, "arguments": asked.arguments}, tools)
    if tools:
        try:
            return read_line(asked.command, tools)
        except (ValueError, RecursionError):
            pass
    return Action(text=asked.command)


def observed(result: bytes, *, first: bool = False, seen: bytes | None = None) -> bytes:
    """OpenEnv's envelope around a StepResult's JSON; the first has no reward, `seen` takes the observation's place."""
    observation, rest = split(result)
    reward, _, flags = rest.partition(b",")
    return b'{"observation":%b,%b,"done":%b,"metadata":{%b}}' % (
        observation if seen is None else seen,
        b'"reward":null' if first else reward,
        b"true" if flags.startswith(OVER) else b"false",
        flags,
    )


def framed(kind: str, data: bytes) -> bytes:
    """A frame of the server's."""
    return b'{"type":"%b","data":%b}' % (kind.encode(), data)


def complaint(message: str, code: str, **more: JsonValue) -> bytes:
    """An error frame."""
    return framed("error", to_json({"message": message, "code": code, **more}))


def refusal(error: GymError | ValidationError, host: Host) -> bytes:
    """What could not be read or done, as an error frame."""
    if isinstance(error, ValidationError):
        errors = error.errors(include_url=False, include_context=False, include_input=False)
        listed: list[JsonValue] = [{"type": one["type"], "loc": list(one["loc"]), "msg": one["msg"]} for one in errors]
        return complaint(f"Invalid message: {described(errors)}", "VALIDATION_ERROR", errors=listed)
    kind = type(error).__name__
    if isinstance(error, GymFull):
        taken, most = len(host.sessions), host.config.max_sessions
        return complaint(error.detail, "CAPACITY_REACHED", active_sessions=taken, max_sessions=most, kind=kind)
    return complaint(error.detail, "EXECUTION_ERROR", kind=kind)
