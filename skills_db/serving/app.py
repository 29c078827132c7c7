"""The application over one open store, for a port of its own or as a mount of another server."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi_offline import FastAPIOffline

from skills_db.command import reading
from skills_db.serving.desk import Desk
from skills_db.serving.problem import HANDLERS
from skills_db.serving.reads import read_routes
from skills_db.serving.writes import write_routes
from skills_db.store import Store

__all__ = ["create_app", "mounted"]


def create_app(store: Store, token: str | None = None) -> FastAPI:
    """The application; without a token nobody may write. It closes the store where it ends."""
    desk = Desk(store)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            yield
        finally:
            desk.close()

    # A browser loads nothing from elsewhere: /docs comes with its scripts, and ReDoc would fetch a logo.
    app = FastAPIOffline(
        redoc_url=None,
        static_url="/docs/static",
        title="Turnhalle's memory",
        version=version("turnhalle"),
        description="Experiences and skills, and the episodes that taught them.",
        swagger_ui_parameters={"validatorUrl": None},
        lifespan=lifespan,
    )
    app.state.desk, app.state.token = desk, token
    for kind, handler in HANDLERS.items():
        app.add_exception_handler(kind, handler)
    app.include_router(read_routes(desk, token))
    app.include_router(write_routes(desk))
    return app


@contextmanager
def mounted(url: str | None, token: str | None, embedder: str | None = None) -> Iterator[FastAPI]:
    """The application over the memory at `url`, which is closed at the end; see `envserver/mounts.py`.

    With a token a SQLite file is made where there is none. The embedder is `$TURNHALLE_EMBEDDER` where none is named.
    Raises StoreError.
    """
    vectors = embedder or os.environ.get("TURNHALLE_EMBEDDER")
    app = create_app(reading(url, create=token is not None, embedder=vectors), token)
    try:
        yield app
    finally:
        app.state.desk.close()
