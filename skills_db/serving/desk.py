"""Threads in which the store is asked, so that the event loop never waits for SQL.

Writers have threads of their own: one that waits for another process' lock keeps no reader waiting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, ThreadPoolExecutor

from fastapi import Response

from skills_db.answers import to_json
from skills_db.store import Store

__all__ = ["Desk"]

READERS = 8
WRITERS = 2

Verb = Callable[[Store], object]


class Desk:
    """An open store and its threads."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._readers = ThreadPoolExecutor(READERS, "memory-reads")
        self._writers = ThreadPoolExecutor(WRITERS, "memory-writes")

    async def read(self, verb: Verb) -> Response:
        """What the store answers, as JSON. Raises StoreError."""
        return await self._ask(self._readers, verb, 200)

    async def write(self, verb: Verb, status: int = 200) -> Response:
        """What it answers to what writes, as JSON. Raises StoreError."""
        return await self._ask(self._writers, verb, status)

    def close(self) -> None:
        """Close the store; idempotent. What still waits for a thread is not begun."""
        for threads in (self._readers, self._writers):
            threads.shutdown(wait=False, cancel_futures=True)
        self._store.close()

    async def _ask(self, threads: Executor, verb: Verb, status: int) -> Response:
        def answer() -> bytes:
            # A run's configuration may hold half a character, which JSON has and UTF-8 has not.
            return to_json(verb(self._store)).encode("utf-8", "replace")

        body = await asyncio.get_running_loop().run_in_executor(threads, answer)
        return Response(body, status, media_type="application/json")
