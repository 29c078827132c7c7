"""A run's TOML file, with `key=value` on top, as a RunConfig.

Rule: whatever is wrong with it is said in one sentence before anything is started.
"""

from __future__ import annotations

import copy
import json
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import to_jsonable_python

from trainers.config import RunConfig
from trainers.plugged import BadConfig, sentence

__all__ = ["BadConfig", "read", "read_run", "resolve", "setting", "settings", "text"]


def read(file: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The run a TOML file (or a run's config.json) describes. Raises BadConfig."""
    try:
        raw = file.read_text(encoding="utf-8")
        table = json.loads(raw) if file.suffix == ".json" else tomllib.loads(raw)
    except FileNotFoundError as error:
        raise BadConfig(f"there is no file '{file}'") from error
    except (OSError, UnicodeDecodeError) as error:
        raise BadConfig(f"'{file}' cannot be read: {error}") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError) as error:
        raise BadConfig(f"'{file}' is not well-formed: {error}") from error
    table.setdefault("name", file.stem)
    return resolve(table, overrides)


def read_run(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The run of a TOML file, or of a run's directory. Raises BadConfig."""
    if not path.is_dir():
        return read(path, overrides)
    # The directory may have been moved since config.json was written.
    return read(path / "config.json", overrides).model_copy(update={"dir": path.parent, "name": path.name})


def resolve(table: dict[str, Any], overrides: Sequence[str] = ()) -> RunConfig:
    """A table and `key=value` pairs as a run; the table stays as it was. Raises BadConfig."""
    table = copy.deepcopy(table)
    for pair in overrides:
        key, value = setting(pair)
        _put(table, key.split("."), value, key)
    try:
        return RunConfig.model_validate(table)
    except ValidationError as error:
        raise BadConfig(sentence(error, RunConfig)) from error


def text(config: RunConfig) -> str:
    """A run as JSON: what config.json holds, and what `read` reads again."""
    return config.model_dump_json(indent=2)


def setting(pair: str) -> tuple[str, Any]:
    """Key and value of `key=value`, the value as TOML has it; a bare word is a string. Raises BadConfig."""
    key, equals, value = pair.partition("=")
    if not equals or not key.strip():
        raise BadConfig(f"'{pair}' is not key=value, such as learner.lr=1e-4")
    return key.strip(), _value(value.strip())


def _value(raw: str) -> Any:
    try:
        return tomllib.loads(f"value = {raw}")["value"]
    except tomllib.TOMLDecodeError:
        return raw


def _put(table: dict[str, Any], path: list[str], value: Any, key: str) -> None:
    for part in path[:-1]:
        inner = table.setdefault(part, {})
        if isinstance(inner, str):  # `algorithm = "rloo"` is short for a table with that name
            inner = table[part] = {"name": inner}
        if not isinstance(inner, dict):
            raise BadConfig(f"'{key}' goes through '{part}', which is no table")
        table = inner
    table[path[-1]] = value


def settings(config: BaseModel, prefix: str = "") -> Iterator[tuple[str, str, str]]:
    """Every setting of a resolved run: its key, its value as JSON, and what it means."""
    for name, field in type(config).model_fields.items():
        value = getattr(config, name)
        if isinstance(value, BaseModel):
            yield from settings(value, f"{prefix}{name}.")
            continue
        shown = '"***"' if field.exclude and value else json.dumps(to_jsonable_python(value))
        yield f"{prefix}{name}", shown, " ".join((field.description or "").split())
