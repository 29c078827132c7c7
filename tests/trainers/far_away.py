"""Worlds at the other end of a long wire: a proxy that holds every byte for a while."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

__all__ = ["far_away"]


@asynccontextmanager
async def far_away(url: str, hold_s: float) -> AsyncIterator[str]:
    """The address of a server as it is reached from `hold_s` away."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        held: asyncio.Queue[tuple[bytes, float]] = asyncio.Queue()

        async def let_go() -> None:
            while (found := await held.get())[0]:
                await asyncio.sleep(max(0.0, found[1] - time.monotonic()))
                writer.write(found[0])
            writer.close()

        letting = asyncio.create_task(let_go())
        try:
            while data := await reader.read(1 << 16):
                held.put_nowait((data, time.monotonic() + hold_s))
        finally:
            held.put_nowait((b"", 0.0))
            await letting

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there = urlsplit(url)
        far_reader, far_writer = await asyncio.open_connection(there.hostname, there.port)
        await asyncio.gather(pump(reader, far_writer), pump(far_reader, writer), return_exceptions=True)

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as server:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
