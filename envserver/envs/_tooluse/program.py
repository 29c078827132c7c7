"""A program: a hidden state, tools that read and change it, a question, and the calls that answer it.

A tool is a marked method: its name is the tool's, its annotations are the JSON schema, its first line of docstring the
description. It gives a text, or for `done` whether the task is solved. `plan` is the gold solution from the state as it
is; each of its calls, when made, shortens it by one, and it reads what its answer depends on before it answers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, Literal, Self, TypeVar, get_args, get_origin, get_type_hints

from pydantic import JsonValue

from envserver.arguments import refusal
from envserver.schema import ToolSpec

__all__ = ["Call", "Program", "tool"]

Call = tuple[str, dict[str, JsonValue]]
"""Name of a tool and its arguments."""

Method = TypeVar("Method", bound=Callable[..., str | bool])

TYPES = {int: "integer", str: "string", bool: "boolean"}
MARK = "_is_a_tool"


def tool(method: Method) -> Method:
    """Marks a method as a tool."""
    setattr(method, MARK, True)
    return method


class Program(ABC):
    """One small program of a family."""

    story: str
    """What there is, in a sentence."""
    tools: dict[str, ToolSpec]
    question: str
    """What is wanted, as the player reads it."""

    def __init_subclass__(cls) -> None:
        marked = [(name, method) for name, method in vars(cls).items() if hasattr(method, MARK)]
        cls.tools = {name: _spec(name, method) for name, method in marked}

    @abstractmethod
    def __init__(self, rng: Random, calls: int, level: int) -> None:
        """Draw a program whose plan takes `calls` calls, or one less where they come in pairs; level 1 to 3."""

    def call(self, name: str, arguments: dict[str, JsonValue]) -> str | bool:
        """What a tool says, or whether the task is solved; a sentence where it cannot be called so."""
        tool = self.tools.get(name)
        if tool is None:
            return f"There is no tool {name[:40]!r}; there are: {', '.join(self.tools)}."
        wrong = refusal(tool, arguments)
        said: str | bool = wrong or getattr(self, name)(**arguments)
        return said

    @abstractmethod
    def plan(self) -> Iterator[Call]:
        """The gold calls from here, `done` last; none where the task cannot be solved any more."""

    def close(self) -> None:  # noqa: B027
        """Let go of everything; safe to call twice."""

    def copy(self) -> Self:
        """The same state, on its own. What is nested in a list or a dict is never changed in place."""
        twin = object.__new__(type(self))
        twin.__dict__ = {
            name: value.copy() if isinstance(value, list | dict | set) else value for name, value in vars(self).items()
        }
        return twin


def _spec(name: str, method: Callable[..., Any]) -> ToolSpec:
    hints = get_type_hints(method)
    del hints["return"]
    properties: dict[str, JsonValue] = {parameter: _schema(hint) for parameter, hint in hints.items()}
    parameters: dict[str, JsonValue] = {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }
    return ToolSpec(name=name, description=(method.__doc__ or "").strip().splitlines()[0], parameters=parameters)


def _schema(hint: Any) -> dict[str, JsonValue]:
    if get_origin(hint) is Literal:
        return {"type": "string", "enum": list(get_args(hint))}
    return {"type": TYPES[hint]}
