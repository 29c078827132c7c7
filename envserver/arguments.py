"""What is wrong with the arguments of a call, by the tool's JSON schema, in one sentence."""

from __future__ import annotations

from typing import Any

from pydantic import JsonValue

from envserver.schema import ToolSpec

__all__ = ["refusal"]

KINDS = {
    "integer": (int, "an integer"),
    "string": (str, "a string"),
    "boolean": (bool, "true or false"),
}
NAMES = {int: "an integer", float: "a number", str: "a string", bool: "a boolean", list: "a list", dict: "an object"}
LIMIT = 10**12
"""Integers beyond this are refused: some could not even be shown."""


def refusal(tool: ToolSpec, given: dict[str, JsonValue]) -> str:
    """The sentence; empty where the arguments are right."""
    properties: Any = tool.parameters["properties"]
    required: Any = tool.parameters.get("required", list(properties))
    for name, schema in properties.items():
        if name not in given:
            if name not in required:
                continue
            return f"{tool.name} needs {name}, {KINDS[schema['type']][1]}."
        value = given[name]
        kind, words = KINDS[schema["type"]]
        if type(value) is not kind:
            return f"{name} of {tool.name} must be {words}, not {NAMES.get(type(value), 'null')}."
        if kind is int and not -LIMIT <= value <= LIMIT:  # type: ignore[operator]
            return f"{name} of {tool.name} is too large."
        if "enum" in schema and value not in schema["enum"]:
            return f"{name} of {tool.name} must be one of: {', '.join(schema['enum'])}."
    extra = next((name for name in given if name not in properties), None)
    if extra is not None:
        return f"{tool.name} takes no {extra[:40]!r}; it takes {', '.join(properties) or 'nothing'}."
    return ""
