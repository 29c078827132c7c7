"""What can be called in a world: its own tools, or the one tool `act` where it is played by texts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from envserver.schema import MAX_TEXT_CHARS, Action, ToolSpec

__all__ = ["ACT", "called", "offered"]

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


def called(name: str, arguments: dict[str, Any], tools: Sequence[ToolSpec]) -> Action:
    """The action of a call in a world of these tools. Raises ValueError for a call that is none.

    What the arguments should be is the world's to say, which answers wrong ones.
    """
    known = [tool.name for tool in offered(tools)]
    if name not in known:
        raise ValueError(f"Unknown tool: {name[:128]}; there are: {', '.join(known)}")
    if tools:
        return Action(tool=name, arguments=arguments)
    text = arguments.get("text")
    if not isinstance(text, str) or len(text) > MAX_TEXT_CHARS or len(arguments) > 1:
        raise ValueError(f"act takes text alone, a text of at most {MAX_TEXT_CHARS} characters")
    return Action(text=text)
