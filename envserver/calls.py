"""A tool call in one line: `look 3`, its values in the order of the tool's schema, or the call as JSON.

A value is a bare word, read by its type in the schema, or JSON; a text that comes last takes the rest of the line. What
values in order cannot say is written as JSON, so `read_line` reads back whatever `write_line` writes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import JsonValue

from envserver.schema import Action, ToolSpec

__all__ = ["read_json", "read_line", "signature", "write_json", "write_line"]

NUMBER = re.compile(r"-?(0|[1-9][0-9]{0,17})(\.[0-9]{1,17})?", re.ASCII)
BLANKS = " \t"


def _refuse_constant(name: str) -> float:
    """NaN and the infinities are Python's, not JSON's: the wire could not carry them."""
    raise ValueError(f"{name} is no JSON number")


DECODER = json.JSONDecoder(parse_constant=_refuse_constant)


def signature(tool: ToolSpec) -> str:
    """A tool in one line: `look bin:integer - Look into a bin.`"""
    words = [tool.name, *(f"{name}:{_kind(schema)}" for name, schema in _properties(tool).items())]
    return f"{' '.join(words)} - {' '.join(tool.description.split())}"


def read_line(line: str, tools: Sequence[ToolSpec]) -> Action:
    """The call a line makes. Raises ValueError (a ValidationError is one) or RecursionError for a line that is none."""
    line = line.strip()
    if line.startswith("{"):
        return read_json(line)
    name, _, rest = line.partition(" ")
    rest = rest.lstrip(BLANKS)
    tool = next((tool for tool in tools if tool.name == name), None)
    if tool is None:
        raise ValueError(f"there is no tool {name[:40]!r}; there are: {', '.join(tool.name for tool in tools)}")
    arguments: dict[str, JsonValue] = {}
    parameters = list(_properties(tool).items())
    for place, (parameter, schema) in enumerate(parameters):
        if not rest:
            break
        arguments[parameter], rest = _value(rest, schema, last=place + 1 == len(parameters))
    if rest:
        values = "1 value" if len(parameters) == 1 else f"{len(parameters)} values"
        raise ValueError(f"{name} takes {values}, and there is more: {rest[:40]!r}")
    return Action(tool=name, arguments=arguments)


def write_line(action: Action, tools: Sequence[ToolSpec]) -> str:
    """The shortest line that `read_line` reads as this call."""
    tool = next((tool for tool in tools if tool.name == action.tool), None)
    names = list(_properties(tool)) if tool else []
    if tool is not None and set(names[: len(action.arguments)]) == set(action.arguments):
        values = [action.arguments[name] for name in names[: len(action.arguments)]]
        for bare in (True, False):
            line = " ".join([tool.name, *(_word(value, bare) for value in values)])
            if _reads_as(line, action, tools):
                return line
    return write_json(action)


def read_json(line: str) -> Action:
    """The call a JSON text makes. Raises ValueError (a ValidationError is one) or RecursionError where it is none."""
    call = DECODER.decode(line)
    if not isinstance(call, dict) or not isinstance(call.get("tool"), str):
        raise ValueError('it names no tool; write {"tool": "name", "arguments": {}}')
    return Action.model_validate(call)


def write_json(action: Action) -> str:
    """A call as JSON in one line."""
    return json.dumps({"tool": action.tool, "arguments": action.arguments}, ensure_ascii=False)


def _properties(tool: ToolSpec) -> dict[str, Any]:
    properties = tool.parameters.get("properties")
    return properties if isinstance(properties, dict) else {}


def _kind(schema: Any) -> str:
    """A parameter's type in a word: its choices where it has some."""
    if not isinstance(schema, dict):
        return "any"
    choices = schema.get("enum")
    return "|".join(map(str, choices)) if isinstance(choices, list) else str(schema.get("type", "any"))


def _value(rest: str, schema: Any, *, last: bool) -> tuple[JsonValue, str]:
    """The first value of a line, and what is left of it."""
    kind = schema.get("type") if isinstance(schema, dict) else None
    if rest[0] in '"[{':
        value, end = DECODER.raw_decode(rest)
        if end == len(rest) or rest[end] in BLANKS:
            return value, rest[end:].lstrip(BLANKS)
        raise ValueError(f"a blank is missing after {rest[:end][:40]!r}")
    if kind == "string" and last:
        return rest, ""
    word, _, rest = rest.partition(" ")
    rest = rest.lstrip(BLANKS)
    if kind == "string":
        return word, rest
    if word in ("true", "false", "null"):
        return {"true": True, "false": False, "null": None}[word], rest
    if NUMBER.fullmatch(word):
        return (float(word) if "." in word else int(word)), rest
    return word, rest


def _word(value: JsonValue, bare: bool) -> str:
    if isinstance(value, str) and bare:
        return value
    return json.dumps(value, ensure_ascii=False)


def _reads_as(line: str, action: Action, tools: Sequence[ToolSpec]) -> bool:
    try:
        # As JSON, for Python holds 1, 1.0 and True for the same.
        read = json.dumps(read_line(line, tools).arguments, sort_keys=True)
        return "\n" not in line and read == json.dumps(action.arguments, sort_keys=True) and not action.text
    except (ValueError, RecursionError):
        return False
