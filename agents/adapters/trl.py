"""TRL: a world as the `environment_factory` of its GRPOTrainer.

    GRPOTrainer(..., environment_factory=environment("http://localhost:8000", "keydoor"))

The class that is made has the world's tools as methods, whose signatures and docstrings TRL makes the tools' schemas
of, and owns the reward: the sum of the episode's. A row of the data set names the task (`key`, or `split` and `index`,
or `seed`, and `options`), and what is seen first is put after its prompt. TRL makes an instance for each rollout of a
batch and resets it for the next, so the server needs as many sessions. An episode that broke has no reward, and TRL
counts it in no group.
"""

from __future__ import annotations

import inspect
import keyword
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Literal

from pydantic import JsonValue

from agents.adapters.base import Place, Play, after, briefing
from envserver.errors import BadRequest
from envserver.schema import ToolSpec
from envserver.toolset import offered

__all__ = ["environment"]

HINTS: dict[Any, Any] = {
    "string": str,
    "integer": int,
    "number": float,
    "boolean": bool,
    "array": list,
    "object": dict,
}
TAKEN = ("reset", "get_reward")
"""Methods that are no tools."""


class World:
    """One episode at a time; its subclasses have the tools."""

    _place: Place

    def __init__(self) -> None:
        self._play = Play(self._place)

    def reset(self, prompt: Any = None, **row: Any) -> str:
        """Begin the task that a row names; what is seen first, as it goes after the last message of `prompt`."""
        opened = self._place.run(lambda gym: self._play.begin(gym, row))
        seen = self._play.failure or "" if opened is None else briefing(opened)
        said = prompt[-1]["content"] if isinstance(prompt, list) and prompt else ""
        return after(said, seen)[len(said.rstrip()) :] if isinstance(said, str) else f"\n\n{seen}"

    def get_reward(self) -> float | None:
        """The episode's reward; asked once it is played, so its world is let go. None where it broke."""
        self._place.run(lambda _: self._play.end())
        return self._play.reward


def environment(
    url: str, env: str, *, token: str | None = None, options: Mapping[str, JsonValue] | None = None
) -> type[World]:
    """The class of a served environment. Raises UnknownEnv, GymUnreachable, or BadRequest for tools TRL cannot have.

    `options` are those of every task; a row's own are put on top.
    """
    place = Place(url, env, token, options or {})
    card = place.card()
    members: dict[str, Any] = {"_place": place, "__doc__": card.summary, "__module__": __name__}
    for tool in offered(card.tools):
        names = [tool.name, *tool.parameters.get("properties", {})]  # type: ignore[misc]
        if refused := [name for name in names if not name.isidentifier() or keyword.iskeyword(name)]:
            raise BadRequest(f"TRL knows tools as Python's functions, and '{refused[0]}' of '{env}' is no name there")
        if tool.name in TAKEN or tool.name.startswith("_"):
            raise BadRequest(f"'{env}' has a tool '{tool.name}', which TRL does not take for one")
        members[tool.name] = _method(tool)
    name = "".join(part.capitalize() for part in env.replace("-", "_").split("_"))
    return type(name, (World,), members)


def _method(tool: ToolSpec) -> Callable[..., str]:
    """A method with a signature and a docstring that say the tool's schema."""

    def method(self: World, **arguments: Any) -> str:
        return self._place.run(lambda _: self._play.call(tool.name, arguments)).text

    schema: Any = tool.parameters
    properties = schema.get("properties", {})
    required = schema.get("required", [])
    hints = {name: _hint(kind) for name, kind in properties.items()}
    lines = [f"    {name}: {' '.join(str(properties[name].get('description') or name).split())}" for name in hints]
    method.__name__ = tool.name
    method.__qualname__ = f"World.{tool.name}"
    method.__doc__ = "\n".join([" ".join(tool.description.split()), *(["", "Args:", *lines] if lines else [])])
    method.__annotations__ = {**hints, "return": str}
    parameter = partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY)
    named = [
        parameter(name, annotation=hint, default=inspect.Parameter.empty if name in required else None)
        for name, hint in hints.items()
    ]
    method.__signature__ = inspect.Signature(  # type: ignore[attr-defined]
        [inspect.Parameter("self", inspect.Parameter.POSITIONAL_ONLY), *named], return_annotation=str
    )
    return method


def _hint(schema: Any) -> Any:
    """The type that a property's schema says."""
    if not isinstance(schema, dict):
        return Any
    if choices := schema.get("enum"):
        return Literal[tuple(choices)]
    kind = schema.get("type")
    if kind == "array":
        return list[_hint(schema["items"])] if "items" in schema else list  # type: ignore[misc]
    return HINTS.get(kind, Any) if isinstance(kind, str) else Any
