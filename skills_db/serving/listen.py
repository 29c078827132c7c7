"""A port for the application: the URL is told once it listens, and SIGTERM or SIGINT ends it."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import uvicorn
from fastapi import FastAPI

__all__ = ["Unserved", "listen"]


class Unserved(RuntimeError):
    """Raised where the server cannot begin; one sentence."""


def listen(app: FastAPI, host: str, port: int, port_file: Path | None = None, log_level: str = "warning") -> None:
    """Serve until SIGTERM or SIGINT; prints the URL and writes it to `port_file`. Raises Unserved."""
    settings = uvicorn.Config(
        app,
        loop="uvloop",
        http="httptools",
        ws="none",
        access_log=False,
        log_level=log_level,
        timeout_graceful_shutdown=3,
        server_header=False,
    )
    try:
        listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except OSError as error:
        why = os.strerror(error.errno) if error.errno and error.errno > 0 else error.strerror
        raise Unserved(f"nothing is served at {host}:{port}: {why}; choose --host and --port") from None
    part = port_file and port_file.with_name(port_file.name + ".part")
    try:
        if part is not None:
            part.touch()
    except OSError as error:
        raise Unserved(f"the port file '{port_file}' cannot be written: {error.strerror}") from None
    host, port = listener.getsockname()[:2]
    url = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    class Announced(uvicorn.Server):
        async def startup(self, sockets: Any = None) -> None:
            await super().startup(sockets)
            if part is not None and port_file is not None:
                part.write_text(url + "\n", encoding="utf-8")
                part.replace(port_file)
            print(f"skills: serving at {url}", flush=True)

    server = Announced(settings)
    server.run(sockets=[listener])
    if not server.started:
        raise Unserved("the server ended before it served anything; the lines above say why")
