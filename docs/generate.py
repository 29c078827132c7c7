"""Writes the reference pages that are made from the code: wire.md, memory.md, cli.md, schema.md, metrics.md.

`python docs/generate.py` writes them; `--check` writes nothing, names the pages that are out of date and exits 1.
"""

from __future__ import annotations

import argparse
import inspect
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import typer
from typer.core import TyperGroup

DOCS = Path(__file__).parent
NOTE = "<!-- Made by `make docs` from the code; do not edit. -->\n\n"


def wire() -> str:
    """Routes and types from the served OpenAPI, frames from the socket's own words."""
    import envserver.socket
    from envserver.app import create_app
    from envserver.config import ServerConfig

    api = create_app(ServerConfig()).openapi()
    out = ["# The wire", ""]
    out += [
        "Every error is `application/problem+json` of the type `Problem`. Times end in `_s`, sizes in `_bytes`.",
        "A server shows its routes at `/docs`, which loads nothing from elsewhere; `/openapi.json` is their schema.",
        "",
    ]
    out += _routes(api)
    out += ["", "## WebSocket", "", inspect.getdoc(envserver.socket) or "", "", "## Types", ""]
    return "\n".join(out + _types(api))


def memory() -> str:
    """Routes and types of a served library."""
    from skills_db.serving.app import create_app
    from skills_db.store import open_store

    with TemporaryDirectory() as home, open_store(str(Path(home) / "memory.db")) as store:
        api = create_app(store).openapi()
    out = ["# Memory over HTTP", ""]
    out += [
        "What `skills serve` answers, and `envserver serve --memory URL` under `/memory`: [how](library.md#serving).",
        "Every error is `application/problem+json`: `type`, `title`, `status`, and `detail`, a sentence.",
        "",
    ]
    out += _routes(api)
    return "\n".join([*out, "", "## Types", "", *_types(api)])


def _routes(api: dict[str, Any]) -> list[str]:
    out = ["## Routes", "", "| route | what | answers |", "|---|---|---|"]
    for path, verbs in sorted(api["paths"].items()):
        for verb, spec in verbs.items():
            summary = (spec.get("description") or spec.get("summary") or "").strip().splitlines()
            codes = ", ".join(sorted(spec.get("responses", {})))
            out.append(f"| `{verb.upper()} {path}` | {summary[0] if summary else ''} | {codes} |")
    return out


def _types(api: dict[str, Any]) -> list[str]:
    out: list[str] = []
    for name, schema in sorted(api["components"]["schemas"].items()):
        out += [f"### {name}", "", (schema.get("description") or "").strip(), ""]
        fields = schema.get("properties", {})
        if fields:
            out += ["| field | type | default | what |", "|---|---|---|---|"]
            required = set(schema.get("required", ()))
            for field, spec in fields.items():
                default = "required" if field in required else f"`{json.dumps(spec.get('default'))}`"
                what = " ".join((spec.get("description") or "").split())
                out.append(f"| `{field}` | {_type(spec)} | {default} | {what} |")
            out.append("")
    return out


def _type(spec: dict[str, Any]) -> str:
    """A JSON schema's type in a word or two."""
    if "$ref" in spec:
        return str(spec["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in spec:
        return " or ".join(_type(option) for option in spec["anyOf"])
    if "enum" in spec:
        return " or ".join(f"`{json.dumps(value)}`" for value in spec["enum"])
    if spec.get("type") == "array":
        return f"list of {_type(spec.get('items', {}))}"
    if spec.get("type") == "object" and isinstance(spec.get("additionalProperties"), dict):
        return f"map to {_type(spec['additionalProperties'])}"
    return str(spec.get("type", "any"))


def cli() -> str:
    """Every command's help."""
    import envserver.cli
    import skills_db.cli
    import trainers.cli

    out = ["# Commands", ""]
    for name, app in (("envserver", envserver.cli.app), ("trainer", trainers.cli.app), ("skills", skills_db.cli.app)):
        group = typer.main.get_command(app)
        out += [f"## {name}", ""]
        for path, command in _commands(name, group):
            out += [f"### `{path}`", "", (command.help or "").strip().replace("\n\n", "\n"), ""]
            rows = [_parameter(parameter) for parameter in command.params if parameter.name != "help"]
            if rows:
                out += ["| argument | default | what |", "|---|---|---|", *rows, ""]
    return "\n".join(out)


def _commands(path: str, command: Any) -> Iterator[tuple[str, Any]]:
    """Leaves of a command tree with their paths, in the order they are declared."""
    if not isinstance(command, TyperGroup):
        yield path, command
        return
    for name, child in command.commands.items():
        if not child.hidden:
            yield from _commands(f"{path} {name}", child)


def _parameter(parameter: Any) -> str:
    """One row of an argument table."""
    option = parameter.param_type_name == "option"
    names = " ".join((*parameter.opts, *parameter.secondary_opts)) if option else str(parameter.name).upper()
    default = parameter.default
    shown = "" if default is None or callable(default) or default == () else f"`{default}`"
    return f"| `{names}` | {shown} | {' '.join((getattr(parameter, 'help', '') or '').split())} |"


def schema() -> str:
    """Tables and columns of the database."""
    from skills_db.schema_page import schema_markdown

    return schema_markdown()


def metrics() -> str:
    """Names and units of everything a run logs."""
    from trainers.metrics import metrics_markdown

    return metrics_markdown()


PAGES: dict[str, Callable[[], str]] = {
    "wire.md": wire,
    "memory.md": memory,
    "cli.md": cli,
    "schema.md": schema,
    "metrics.md": metrics,
}


def page(name: str) -> str:
    """The text of one page as it should stand on disk."""
    return NOTE + PAGES[name]().rstrip() + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 if a page is out of date")
    check = parser.parse_args().check
    stale = []
    for name in PAGES:
        path, text = DOCS / name, page(name)
        if path.exists() and path.read_text() == text:
            continue
        stale.append(name)
        if not check:
            path.write_text(text)
    if stale:
        print(f"{'out of date' if check else 'written'}: {', '.join(stale)}")
    sys.exit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
