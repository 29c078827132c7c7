"""`skills bench`: how quick a library of made-up experiences is."""

from __future__ import annotations

import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from skills_db.command import Json, Misuse, Url, print_json

__all__ = ["bench"]


def bench(
    experiences: Annotated[int, typer.Option(min=20, max=5_000_000, help="How many are made up.")] = 10_000,
    queries: Annotated[int, typer.Option(min=10, max=10_000, help="How many of each kind are asked.")] = 200,
    index: Annotated[
        str | None, typer.Option(help="exact, hnsw or pgvector; left out: the last that is there.")
    ] = None,
    json_: Json = False,
    db: Url = None,
) -> None:
    """Measure inserting, searching and recall in an empty database; a temporary SQLite file where none is named."""
    from skills_db.bench import run_bench
    from skills_db.cluster import INDEXES
    from skills_db.database import connect
    from skills_db.store import open_store

    if index is not None and index not in INDEXES:
        raise Misuse(f"no index is named '{index}': say {', '.join(INDEXES)}")
    with tempfile.TemporaryDirectory(prefix="turnhalle-bench-") as home:
        url = db or str(Path(home) / "memory.db")
        open_store(url).close()
        database = connect(url)
        if index == "pgvector" and database.dialect != "postgresql":
            raise Misuse("pgvector is PostgreSQL's: name such a database, or leave --index out")
        try:
            report = run_bench(
                database, experiences, queries=queries, index=index, say=lambda text: print(text, file=sys.stderr)
            )
        finally:
            database.close()
    if json_:
        print_json(asdict(report))
        return
    for name, value in asdict(report).items():
        print(f"{name:<18}{value:>14,}" if isinstance(value, int | float) else f"{name:<18}{value:>14}")
