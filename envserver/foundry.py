"""A home that has made what a world needs before it asks for the world, so that no worker makes it while others wait.

The server runs no environment's code for this: what a task needs is asked of the maker, a process of its own, once a
task. Where the maker is gone the worlds make what they need themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import socket
import subprocess
import sys
from collections import OrderedDict
from collections.abc import Mapping

from pydantic import JsonValue
from pydantic_core import to_json

from envserver.errors import WorldFailed
from envserver.schema import Task
from envserver.workers.base import Home, Result, World
from envserver.workers.nursery import Nursery

__all__ = ["Foundry"]

LOAD_S = 30.0
"""What the maker gets to say what it makes."""
REVIVE_S = 1.0
"""Pause before a maker that died is started again."""
MAX_FOUND = 65536
"""Tasks remembered to need nothing."""


class Foundry(Home):
    """The worlds of another home, with what they need made first, by at most `processes` at a time."""

    def __init__(self, home: Home, nursery: Nursery, *, processes: int, timeout_s: float) -> None:
        self.home = home
        self.nursery = nursery
        self.processes = processes
        self.timeout_s = timeout_s
        self.makes: frozenset[str] = frozenset()
        """Environments that make something, while there is a maker."""
        self._told = asyncio.Event()
        self._found: OrderedDict[bytes, None] = OrderedDict()
        self._asked: dict[int, asyncio.Future[str | None]] = {}
        self._numbers = itertools.count()
        self._writer: asyncio.StreamWriter | None = None
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to load the maker; returns at once."""
        self._task = asyncio.create_task(self._keep())

    async def close(self) -> None:
        """End the maker and whatever it makes."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def open(self, task: Task) -> tuple[World, Result]:
        await self._make(task)
        return await self.home.open(task)

    async def tasks(self, env: str, split: str, offset: int, limit: int, options: Mapping[str, JsonValue]) -> bytes:
        return await self.home.tasks(env, split, offset, limit, options)

    async def demonstration(self, task: Task) -> bytes:
        await self._make(task)
        return await self.home.demonstration(task)

    async def _make(self, task: Task) -> None:
        """Wait until the task needs nothing that is not there. Raises WorldFailed where it cannot be made."""
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._told.wait(), LOAD_S)
        if task.env not in self.makes or self._writer is None:
            return
        need = to_json([task.env, task.key, task.seed, dict(sorted(task.options.items()))])
        if need in self._found:
            self._found.move_to_end(need)
            return
        number = next(self._numbers)
        answer = self._asked[number] = asyncio.get_running_loop().create_future()
        try:
            self._writer.write(to_json({"number": number, "task": task}) + b"\n")
            failed = await answer
        finally:
            del self._asked[number]
        if failed is not None:
            raise WorldFailed(f"'{task.env}' failed to begin '{task.key}': {failed}")
        if self.makes:
            self._found[need] = None
            if len(self._found) > MAX_FOUND:
                self._found.popitem(last=False)

    async def _keep(self) -> None:
        """Keep a maker while there is something that it makes."""
        try:
            specs = {
                card.env: self.nursery.specs[card.env] for card in await self.nursery.cards() if card.weight == "worker"
            }
            worth_it = bool(specs)
            while worth_it:
                worth_it = await self._life(specs)
                await asyncio.sleep(REVIVE_S if worth_it else 0)
        finally:
            self._told.set()

    async def _life(self, specs: Mapping[str, str]) -> bool:
        """The life of one maker; whether another is worth starting."""
        process, link = self._start(specs)
        makes: frozenset[str] = frozenset()
        reader, writer = await asyncio.open_connection(sock=link)
        try:
            with contextlib.suppress(ConnectionError):
                while line := await reader.readline():
                    message = json.loads(line)
                    if "makes" in message:
                        makes = self.makes = frozenset(message["makes"])
                        self._writer = writer
                        self._told.set()
                    elif (answer := self._asked.get(message["number"])) is not None and not answer.done():
                        answer.set_result(message["failed"])
        finally:
            self.makes, self._writer = frozenset(), None
            writer.close()
            process.kill()
            process.wait()
            for answer in self._asked.values():
                if not answer.done():
                    answer.set_result(None)
        return bool(makes)

    def _start(self, specs: Mapping[str, str]) -> tuple[subprocess.Popen[bytes], socket.socket]:
        ours, theirs = socket.socketpair()
        told = {
            "specs": specs,
            "options": self.nursery.options,
            "processes": self.processes,
            "timeout_s": self.timeout_s,
            "path": sys.path,
        }
        process = subprocess.Popen(
            [sys.executable, "-m", "envserver.maker", str(theirs.fileno()), str(os.getpid())],
            stdin=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(json.dumps(told).encode())
            process.stdin.close()
        return process, ours
