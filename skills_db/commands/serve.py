"""`skills serve`: memory over HTTP."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from skills_db.command import Embedder, Misuse, Url

__all__ = ["serve"]


class Level(StrEnum):
    """How much the server logs."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8100,
    token: Annotated[
        str | None,
        typer.Option(
            envvar="SKILLS_TOKEN",
            show_envvar=False,
            help="Bearer token of who may write, or $SKILLS_TOKEN; none: nobody may.",
        ),
    ] = None,
    port_file: Annotated[Path | None, typer.Option(help="Where to write the URL once the server listens.")] = None,
    log_level: Annotated[Level, typer.Option(help="debug, info, warning or error.")] = Level.warning,
    embedder: Embedder = None,
    db: Url = None,
) -> None:
    """Serve the library over HTTP until Ctrl-C: everybody who reaches the port may read."""
    if token == "":
        raise Misuse("the token is empty: say one, or leave --token out for a library that nobody may write")
    try:
        from skills_db.serving.app import mounted
        from skills_db.serving.listen import listen
    except ModuleNotFoundError as error:
        raise Misuse(f"serving needs '{error.name}': pip install 'turnhalle[server]'") from error
    with mounted(db, token, embedder) as app:
        listen(app, host, port, port_file, log_level)
