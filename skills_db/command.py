"""What the commands of `skills` share: their options, an open store, and text that a terminal may be sent."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from skills_db.answers import to_json

if TYPE_CHECKING:
    from skills_db.store import Store

__all__ = ["Embedder", "Env", "Json", "Misuse", "Run", "Url", "print_json", "reading", "safe", "whole_run", "writing"]

Url = Annotated[
    str | None,
    typer.Option("--db", metavar="URL", help="sqlite:///PATH, a path, or postgresql://…; see `skills path`."),
]
Embedder = Annotated[
    str | None,
    typer.Option(
        envvar="TURNHALLE_EMBEDDER",
        show_envvar=False,
        help="Who makes vectors: hashing, minilm, or a sentence-transformers model's directory (a path with a /); "
        "$TURNHALLE_EMBEDDER, else hashing. Use one for a library: vectors of two are never compared.",
    ),
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Env = Annotated[str | None, typer.Option(help="Only this environment.")]
Run = Annotated[str | None, typer.Option(help="Only this run; the beginning of its id will do.")]


class Misuse(Exception):
    """Raised for what the caller can put right; its text is the one sentence shown."""


def reading(url: str | None, *, create: bool = False, embedder: str | None = None) -> Store:
    """An open store, made where there is none and `create` allows it; read-only where the file may not be written."""
    from skills_db.embed import load_embedder
    from skills_db.errors import StoreReadOnly
    from skills_db.store import open_store

    vectors = load_embedder(embedder or "hashing")
    try:
        return open_store(url, create=create, embedder=vectors)
    except StoreReadOnly:
        return open_store(url, readonly=True, embedder=vectors)


def writing(url: str | None, *, create: bool = True, embedder: str | None = None) -> Store:
    """An open store, made where there is none and `create` allows it."""
    from skills_db.embed import load_embedder
    from skills_db.store import open_store

    return open_store(url, create=create, embedder=load_embedder(embedder or "hashing"))


def whole_run(store: Store, prefix: str | None) -> str | None:
    """The id of the run that begins so; None where none is named. Raises UnknownRecord, Misuse."""
    if prefix is None:
        return None
    kind, whole = store.resolve(prefix)
    if kind != "run":
        raise Misuse(f"'{prefix}' is the {kind} {whole}, no run")
    return whole


def safe(text: str) -> str:
    """Text without what a terminal would obey: a world's or a model's escape sequences are shown, not sent."""
    return "".join(char if char.isprintable() or char in "\n\t" else f"\\x{ord(char):02x}" for char in text)


def print_json(value: object) -> None:
    """The value, indented."""
    print(to_json(value, indent=2))
