"""Which environments are served, and what their cards say.

A spec is a plugin's name, or `package.module:Class` for one that is not installed as a plugin; the class's name in
snake_case is then its name.
"""

from __future__ import annotations

import difflib
import importlib
import inspect
import re
from collections.abc import Iterable, Mapping

from pydantic import JsonValue, ValidationError

from envserver import plugins
from envserver.core import Env, EnvConfig
from envserver.schema import EnvCard

__all__ = ["EXTRAS", "SHELF", "BadOption", "card", "configured", "env_name", "env_options", "load_env", "specs"]

SHELF = "envserver.envs"
EXTRAS = {
    "scienceworld": "scienceworld",
    "py4j": "scienceworld",
    "textworld": "textworld",
    "jericho": "textworld",
    "tatsu": "textworld",
    "bm25s": "search",
}
"""Module that may be missing -> extra that brings it."""

CLASS = re.compile(r"\w+(\.\w+)*:\w+")


class BadOption(ValueError):
    """Raised for an option that an environment does not have or cannot take; one sentence."""


def specs(asked: Iterable[str]) -> dict[str, str]:
    """Name -> spec of what to serve; every installed environment where nothing is asked for.

    Imports none of them. Raises NoSuchPlugin for a name that is not there.
    """
    asked = tuple(asked)
    if not asked:
        return {name: name for name in plugins.names(SHELF)}
    for spec in asked:
        if ":" not in spec:
            plugins.require(SHELF, spec)
        elif not CLASS.fullmatch(spec):
            raise plugins.NoSuchPlugin(f"'{spec}' names no class; it looks like package.module:Class")
    return {env_name(spec): spec for spec in asked}


def env_name(spec: str) -> str:
    """The name a spec is served under."""
    _, colon, public = spec.partition(":")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", public).lower() if colon else spec


def env_options(given: Mapping[str, dict[str, JsonValue]], served: Iterable[str]) -> dict[str, dict[str, JsonValue]]:
    """The options of each environment by its name, where they may be given by its spec.

    Those of an installed environment that is not `served` wait unused. Raises NoSuchPlugin for one that is neither.
    """
    named = {env_name(spec): options for spec, options in given.items()}
    for name in named.keys() - set(served):
        plugins.require(SHELF, name)
    return named


def load_env(spec: str) -> type[Env]:
    """The class a spec stands for. Raises NoSuchPlugin, ImportError or TypeError."""
    path, colon, public = spec.partition(":")
    if not colon:
        return plugins.load(SHELF, spec, Env, extras=EXTRAS)  # type: ignore[type-abstract]
    found = getattr(importlib.import_module(path), public, None)
    if not (isinstance(found, type) and issubclass(found, Env)) or inspect.isabstract(found):
        raise TypeError(f"{spec} is no environment; name a class that is an Env and has all its methods")
    return found


def card(name: str, kind: type[Env], options: Mapping[str, JsonValue]) -> EnvCard:
    """What the catalogue says of an environment."""
    config = configured(kind, options)
    summary = (kind.__doc__ or "").strip().partition("\n")[0]
    return EnvCard(
        env=name,
        summary=summary,
        instructions=kind.instructions,
        tools=list(kind.tools),
        deterministic=kind.deterministic,
        weight=kind.weight,
        splits={split: len(kind.tasks(config, split)) for split in kind.splits},
        config_schema=kind.Config.model_json_schema(),
    )


def configured(kind: type[Env], options: Mapping[str, JsonValue]) -> EnvConfig:
    """The environment's Config with these options. Raises BadOption."""
    try:
        return kind.Config.model_validate(options)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
    name, known = ".".join(str(part) for part in first["loc"]), kind.Config.model_fields
    if first["type"] != "extra_forbidden":
        raise BadOption(
            f"option '{name}' cannot be {first['input']!r:.200}: {first['msg'].removeprefix('Value error, ')}"
        )
    close = difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(known) or 'none'}"
    raise BadOption(f"no option is named '{name[:128]}'; {hint}")
