"""The floor: the least an ASGI server can do for a step, which is to receive a frame and send one back.

`python -m envserver.bench.floor PORT_FILE REPLY_FILE` answers every frame with the same reply, under the same uvicorn
settings as ours, without reading it.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

__all__ = ["main"]


def main() -> None:
    """Serve until killed."""
    import uvicorn

    port_file, reply = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            await send({"type": "websocket.send", "bytes": reply})

    settings = uvicorn.Config(
        app,
        port=0,
        loop="uvloop",
        ws="auto",
        ws_per_message_deflate=False,
        lifespan="off",
        access_log=False,
        log_level="warning",
        backlog=4096,
    )
    listener = settings.bind_socket()
    listener.listen(4096)
    part = port_file.with_name("part")
    part.write_text(str(listener.getsockname()[1]))
    part.replace(port_file)
    uvicorn.Server(settings).run(sockets=[listener])


if __name__ == "__main__":
    main()
