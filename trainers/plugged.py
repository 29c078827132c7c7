"""A `name` key picks a plugin and thereby the type of its table, so a typo in it is refused like any other.

Rule: nothing is imported until a config is read; `--help` stays fast.
"""

from __future__ import annotations

import ast
import difflib
import functools
import importlib
import importlib.util
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from pydantic import BaseModel, Field, ValidationError, create_model

from envserver import plugins

__all__ = ["BadConfig", "build", "pick", "plugged", "sentence", "summaries"]

EXTRAS = {"jsonschema": "prs", "sacrebleu": "prs"}
"""What a plugin of ours imports that not every installation has, and the extra that brings it."""


class BadConfig(ValueError):
    """Raised when a config cannot be used; one sentence that says what was wrong and what to do."""


def pick(shelf: str, kind: str, name: str) -> Any:
    """The class of plugin `name` on `shelf`; `kind` names the base class in `<shelf>.base`. Raises NoSuchPlugin."""
    base = getattr(importlib.import_module(f"{shelf}.base"), kind)
    return plugins.load(shelf, name, base, extras=EXTRAS)


def build(shelf: str, kind: str, config: BaseModel, *args: Any, **more: Any) -> Any:
    """The plugin that a section of a config names, made from that section."""
    return pick(shelf, kind, config.__dict__["name"])(config, *args, **more)


def plugged(shelf: str, kind: str, default: str | None = None) -> Callable[[Any], BaseModel]:
    """A validator that reads a table, or a bare name, as the Config of the plugin it names.

    A table without a name sets what `default` has.
    """
    section = "shapers" if kind == "Shaper" else kind.lower()

    def read(found: Any) -> BaseModel:
        if isinstance(found, BaseModel):
            return found
        table = {"name": found} if isinstance(found, str) else found
        if isinstance(table, dict) and default and "name" not in table:
            table = {"name": default, **table}
        if not isinstance(table, dict) or not isinstance(table.get("name"), str):
            raise BadConfig(f"[{section}] needs a name; there are: {', '.join(plugins.names(shelf))}")
        try:
            model = _named(pick(shelf, kind, table["name"]).Config, table["name"])
        except plugins.NoSuchPlugin as error:
            raise BadConfig(str(error)) from error
        try:
            return model.model_validate(table)
        except ValidationError as error:
            raise BadConfig(sentence(error, model, section)) from error

    return read


@functools.cache
def _named(model: type[BaseModel], name: str) -> type[BaseModel]:
    """The Config with the `name` that picked it, where it has no such field of its own."""
    if "name" in model.model_fields:
        return model
    field = Field(name, description="The plugin's registry name.")
    return create_model(model.__name__, __base__=model, __doc__=model.__doc__, name=(str, field))


def summaries(shelf: str) -> Iterator[tuple[str, str, str]]:
    """Name, first line of the docstring, and arXiv id of every plugin of a shelf, read without importing any."""
    for name in plugins.names(shelf):
        spec = importlib.util.find_spec(f"{shelf}.{name}")
        if spec is None or not spec.origin:
            yield name, "", ""
            continue
        text = ast.get_docstring(ast.parse(Path(spec.origin).read_text(encoding="utf-8"))) or ""
        paper = re.search(r"arXiv[:\s]+(\d{4}\.\d{4,5})", text)
        title = " ".join(text.partition("\n\n")[0].split()).partition(" (arXiv")[0]
        yield name, title.removesuffix("."), paper[1] if paper else ""


def sentence(error: ValidationError, model: type[BaseModel], section: str = "") -> str:
    """The first complaint of a validation in one sentence, with a suggestion for a key that is not there."""
    first = error.errors(include_url=False)[0]
    cause = first.get("ctx", {}).get("error")
    if isinstance(cause, BadConfig):
        return str(cause)
    path = [section, *map(str, first["loc"])] if section else [str(part) for part in first["loc"]]
    where = ".".join(path)
    if isinstance(cause, ValueError):
        return f"{where}: {cause}" if where else str(cause)
    if first["type"] == "extra_forbidden":
        *parents, last = (str(part) for part in first["loc"])
        known = _fields(model, parents)
        close = difflib.get_close_matches(last, known, n=1)
        prefix = ".".join([*path[:-1], ""]) if len(path) > 1 else ""
        hint = f"did you mean '{prefix}{close[0]}'?" if close else f"there are: {', '.join(known)}"
        return f"there is no setting '{where}'; {hint}"
    if first["type"] == "missing":
        return f"'{where}' is missing; give it in the file or as {where}=..."
    return f"{where} = {first['input']!r} is refused: {_lower(first['msg'])}"


def _fields(model: type[BaseModel], parents: Iterable[str]) -> list[str]:
    """Field names of the model that `parents` leads to."""
    for parent in parents:
        field = model.model_fields.get(parent)
        options = [field.annotation, *getattr(field.annotation, "__args__", ())] if field else []
        nested = [kind for kind in options if isinstance(kind, type) and issubclass(kind, BaseModel)]
        if not nested:
            return []
        model = nested[0]
    return list(model.model_fields)


def _lower(message: str) -> str:
    return message[:1].lower() + message[1:]
