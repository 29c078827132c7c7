"""The tools of a repository and their schemas."""

from __future__ import annotations

from pydantic import JsonValue

from envserver.schema import ToolSpec

__all__ = ["TOOLS"]


def _tool(name: str, description: str, required: str = "", **kinds: str) -> ToolSpec:
    properties: dict[str, JsonValue] = {parameter: {"type": kind} for parameter, kind in kinds.items()}
    parameters: dict[str, JsonValue] = {
        "type": "object",
        "properties": properties,
        "required": list(required.split()),
        "additionalProperties": False,
    }
    return ToolSpec(name=name, description=description, parameters=parameters)


TOOLS = (
    _tool("ls", "What lies in a directory; of the repository where none is named.", path="string"),
    _tool(
        "read", "Numbered lines of a file, from start to end.", "path", path="string", start="integer", end="integer"
    ),
    _tool("search", "Lines that hold a text, in all files or below a path.", "text", text="string", path="string"),
    _tool(
        "edit",
        "Put new for old, a text that occurs once in the file, or for the lines from start to end.",
        "path new",
        path="string",
        new="string",
        old="string",
        start="integer",
        end="integer",
    ),
    _tool("write", "Write a whole file.", "path text", path="string", text="string"),
    _tool("run_tests", "Run the tests, all or those of one file.", path="string"),
    _tool("submit", "Hand in the repository as it is; hidden tests judge it and the episode ends."),
)
"""In the order in which they are shown."""
