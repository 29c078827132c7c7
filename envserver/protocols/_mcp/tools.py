"""A world's tools as MCP has them, and a call's result.

A world that is played by texts has one tool, `act`. What the model is shown is the observation, and what is accepted
next; reward, flags and info are the client's and stand in the result's `_meta`, where a host does not show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from envserver.protocols._mcp.rpc import INVALID_PARAMS, Refusal
from envserver.schema import MAX_TEXT_CHARS, Action, ToolSpec

__all__ = ["ACT", "META", "called", "listed", "offered", "shown", "told"]

META = "turnhalle/step"
"""Key in a result's `_meta`."""
ACT = ToolSpec(
    name="act",
    description="Play one turn: a command in plain text, as the world's instructions say.",
    parameters={
        "type": "object",
        "properties": {"text": {"type": "string", "description": "The command.", "maxLength": MAX_TEXT_CHARS}},
        "required": ["text"],
        "additionalProperties": False,
    },
)


def offered(tools: Sequence[ToolSpec]) -> Sequence[ToolSpec]:
    """What can be called in a world of these tools."""
    return tools or (ACT,)


def listed(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as `tools/list` shows them."""
    return [{"name": tool.name, "description": tool.description, "inputSchema": tool.parameters} for tool in tools]


def called(params: dict[str, JsonValue], tools: Sequence[ToolSpec]) -> Action:
    """The action of a `tools/call` in a world of these tools. Raises Refusal for a call that is none.

    What the arguments should be is the world's to say, which answers wrong ones.
    """
    name, arguments = params.get("name"), params.get("arguments")
    arguments = {} if arguments is None else arguments
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise Refusal(INVALID_PARAMS, "tools/call needs a name, a text, and arguments, an object")
    known = [tool.name for tool in offered(tools)]
    if name not in known:
        raise Refusal(INVALID_PARAMS, f"Unknown tool: {name[:128]}; there are: {', '.join(known)}")
    if tools:
        return Action(tool=name, arguments=arguments)
    text = arguments.get("text")
    if not isinstance(text, str) or len(text) > MAX_TEXT_CHARS or len(arguments) > 1:
        raise Refusal(INVALID_PARAMS, f"act takes text alone, a text of at most {MAX_TEXT_CHARS} characters")
    return Action(text=text)


def shown(result: bytes, index: int, *, data: bool = False) -> bytes:
    """A StepResult's JSON as a CallToolResult's, after `index` steps; with `data`, the text once more, for OpenEnv."""
    step = from_json(result)
    seen = step.pop("observation")
    content = [{"type": "text", "text": seen["text"]}]
    if seen["choices"]:
        content.append({"type": "text", "text": "Accepted here:\n" + "\n".join(seen["choices"])})
    answer = {"content": content, "isError": False, "_meta": {META: {"index": index, **step}}}
    return to_json(answer | ({"data": seen["text"]} if data else {}))


def told(text: str, *, error: str | None = None) -> bytes:
    """A CallToolResult that says a sentence; `error` names what went wrong."""
    meta = {"_meta": {"turnhalle/error": error}} if error else {}
    return to_json({"content": [{"type": "text", "text": text}], "isError": error is not None, **meta})
