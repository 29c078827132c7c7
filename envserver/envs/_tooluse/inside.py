"""Runs in a sandbox, alone: a CodeGym environment brought to where a log of calls leads, and what it says there.

Standard input: `{"source", "name", "task", "calls", "brief"}`. Standard output: one JSON object. A fresh environment
plays the whole log, so nothing has to live between two calls. Nothing of this project is imported here, and of
gymnasium, which the files only take a base class from, a stand-in.
"""

from __future__ import annotations

import inspect
import io
import json
import random
import sys
import types
from typing import Any

TYPES = {"int": "integer", "float": "number", "str": "string", "bool": "boolean", "list": "array", "dict": "object"}


def main() -> None:
    asked = json.load(sys.stdin)
    # What the environment prints would stand before the answer.
    out, sys.stdout = sys.stdout, io.StringIO()
    for name in ("gymnasium", "gym"):
        stand_in: Any = types.ModuleType(name)
        stand_in.Env = type("Env", (), {})
        sys.modules[name] = stand_in
    scope: dict[str, Any] = {"__name__": "environment"}
    exec(compile(asked["source"], f"{asked['name']}.py", "exec"), scope)
    kind = scope[asked["name"]]
    random.seed(0)
    world = kind.from_env_str(asked["task"])
    said = ""
    for call in asked["calls"]:
        said = str(world.step(json.dumps(call))[1])
    told = {"said": said, "finished": bool(world.finished), "reward": float(world.reward)}
    if asked["brief"]:
        told["tools"] = [_tool(name, getattr(kind, name)) for name in world.func_mapping]
        told["gold"] = _gold(kind.from_env_str(asked["task"]))
    json.dump(told, out)
    out.flush()


def _tool(name: str, method: Any) -> dict[str, Any]:
    """A method as a tool: its signature is the schema, its docstring without the example the description."""
    properties: dict[str, Any] = {}
    required = []
    for parameter in list(inspect.signature(method).parameters.values())[1:]:
        hint = parameter.annotation
        word = getattr(hint, "__name__", str(hint)).lower()
        properties[parameter.name] = {"type": TYPES[word]} if word in TYPES else {}
        if parameter.default is parameter.empty:
            required.append(parameter.name)
    words = inspect.cleandoc(method.__doc__ or "").partition("Example Output")[0]
    parameters = {"type": "object", "properties": properties, "required": required}
    return {
        "name": name,
        "description": "\n".join(filter(None, map(str.rstrip, words.split("\n")))),
        "parameters": parameters,
    }


def _gold(world: Any) -> list[Any]:
    """The calls of the file's own solution; none where there is none or it does not solve the task."""
    calls: list[Any] = []
    step = world.step

    def recorded(action: str) -> Any:
        calls.append(json.loads(action))
        return step(action)

    world.step = recorded
    try:
        world.solve()
        right = all(call["name"] in world.func_mapping and type(call["parameters"]) is dict for call in calls)
        return calls if right and world.finished and world.reward > 0 else []
    except Exception:
        return []


if __name__ == "__main__":
    main()
