"""The floor: the least an ASGI server can do for a step, which is to receive a frame and send one back.

`python -m envserver.bench.floor PORT_FILE REPLY_FILE` answers every frame with the same reply, under the same uvicorn
settings as ours, without reading it. With `relayed` after that, another process sends a byte back before each answer,
as a worker would a result.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections import deque
from pathlib import Path
from typing import Any

__all__ = ["main"]


class Relay(asyncio.Protocol):
    """A process that sends back what it gets, seen from the floor."""

    def __init__(self) -> None:
        self.link, theirs = socket.socketpair()
        if os.fork() == 0:
            self.link.close()
            while got := theirs.recv(1 << 16):
                theirs.sendall(got)
            os._exit(0)
        theirs.close()
        self.waiting: deque[asyncio.Future[None]] = deque()
        self.linked: asyncio.Task[Any] | None = None

    async def there_and_back(self) -> None:
        """Send a byte and wait for it."""
        loop = asyncio.get_running_loop()
        if self.linked is None:
            self.linked = loop.create_task(loop.create_connection(lambda: self, sock=self.link))
        transport, _ = await self.linked
        answer: asyncio.Future[None] = loop.create_future()
        self.waiting.append(answer)
        transport.write(b".")
        await answer

    def data_received(self, data: bytes) -> None:
        for _ in data:
            self.waiting.popleft().set_result(None)


def main() -> None:
    """Serve until killed."""
    import uvicorn

    port_file, reply = Path(sys.argv[1]), Path(sys.argv[2]).read_bytes()
    relay = Relay() if sys.argv[3:] == ["relayed"] else None

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "websocket":
            return
        await receive()
        await send({"type": "websocket.accept"})
        while (await receive())["type"] == "websocket.receive":
            if relay is not None:
                await relay.there_and_back()
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
