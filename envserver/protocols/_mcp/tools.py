"""A world's tools as MCP has them, and a call's result.

What the model is shown is the observation, and what is accepted next; reward, flags and info are the client's and stand
in the result's `_meta`, where a host does not show them.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from envserver import toolset
from envserver.protocols._mcp.rpc import INVALID_PARAMS, Refusal
from envserver.schema import Action, ToolSpec

__all__ = ["META", "called", "listed", "shown", "told"]

META = "turnhalle/step"
"""Key in a result's `_meta`."""


def listed(tools: Sequence[ToolSpec]) -> list[dict[str, Any]]:
    """Tools as `tools/list` shows them."""
    return [{"name": tool.name, "description": tool.description, "inputSchema": tool.parameters} for tool in tools]


def called(params: dict[str, JsonValue], tools: Sequence[ToolSpec]) -> Action:
    """The action of a `tools/call` in a world of these tools. Raises Refusal for a call that is none."""
    name, arguments = params.get("name"), params.get("arguments")
    arguments = {} if arguments is None else arguments
    if not isinstance(name, str) or not isinstance(arguments, dict):
        raise Refusal(INVALID_PARAMS, "tools/call needs a name, a text, and arguments, an object")
    try:
        return toolset.called(name, arguments, tools)
    except ValueError as error:
        raise Refusal(INVALID_PARAMS, str(error)) from None


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
