"""A store behind a real server, on a port and in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import httpx
import uvicorn

from skills_db.serving.app import create_app
from skills_db.store import Store

TOKEN = "open sesame é"
HEADERS = {"authorization": f"Bearer {TOKEN}".encode()}


@contextmanager
def served(store: Store, token: str | None = TOKEN) -> Iterator[httpx.Client]:
    """A client of it, which sends no token by itself."""
    server = uvicorn.Server(uvicorn.Config(create_app(store, token), port=0, ws="none", log_level="error"))
    started, startup = threading.Event(), server.startup

    async def announced(sockets: object = None) -> None:
        await startup()
        started.set()

    server.startup = announced  # type: ignore[method-assign]
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        assert started.wait(30)
        port = server.servers[0].sockets[0].getsockname()[1]
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as http:
            yield http
    finally:
        server.should_exit = True
        thread.join(30)
    assert not thread.is_alive()
