"""The server's side of the template: starts it, learns the cards from it, has it fork workers, revives it.

An environment that kills the template while it loads is left out, with a reason, and the template starts again.
"""

from __future__ import annotations

import asyncio
import contextlib
import difflib
import json
import os
import socket
import subprocess
import sys
from collections import deque
from collections.abc import Mapping

from pydantic import JsonValue

from envserver.errors import UnknownEnv
from envserver.schema import EnvCard
from envserver.workers.base import WorldLost

__all__ = ["Nursery"]

REVIVE_S = 0.2
"""Pause before a template that died is started again."""


class Nursery:
    """Cards of what is served, and fresh workers."""

    def __init__(self, specs: Mapping[str, str], options: Mapping[str, dict[str, JsonValue]], max_steps: int) -> None:
        self.specs = dict(specs)
        self.options = options
        self.max_steps = max_steps
        self.ready = asyncio.Event()
        """Set while the template has loaded everything and forks."""
        self._cards: dict[str, asyncio.Future[EnvCard | None]] = {}
        self._absent: dict[str, str] = {}
        self._loading = ""
        self._forks: deque[asyncio.Future[int]] = deque()
        self._buffer = b""
        self._process: subprocess.Popen[bytes] | None = None
        self._control: socket.socket | None = None
        self._closed = False

    def start(self) -> None:
        """Start the template; returns at once, the cards follow."""
        if self._closed:
            return
        loop = asyncio.get_running_loop()
        for name in self.specs:
            self._cards.setdefault(name, loop.create_future())
        self._control, theirs = socket.socketpair()
        self._control.setblocking(False)
        told = {
            "specs": {name: spec for name, spec in self.specs.items() if name not in self._absent},
            "options": self.options,
            "max_steps": self.max_steps,
            "path": sys.path,
        }
        self._process = subprocess.Popen(
            [sys.executable, "-m", "envserver.workers.template", str(theirs.fileno()), str(os.getpid())],
            stdin=subprocess.PIPE,
            pass_fds=[theirs.fileno()],
        )
        theirs.close()
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(told).encode())
            self._process.stdin.close()
        self._buffer = b""
        loop.add_reader(self._control.fileno(), self._read)

    async def card(self, name: str) -> EnvCard:
        """The card of one environment, as soon as it is loaded. Raises UnknownEnv."""
        if name not in self.specs:
            close = difflib.get_close_matches(name, self.specs, n=1)
            hint = f"did you mean '{close[0]}'?" if close else f"there are: {', '.join(self.specs)}"
            raise UnknownEnv(f"no environment is named '{name[:128]}'; {hint}")
        card = await asyncio.shield(self._cards[name])
        if card is None:
            raise UnknownEnv(f"environment '{name}' could not be loaded: {self._absent[name]}")
        return card

    def known(self, name: str) -> EnvCard | None:
        """The card, where it is there already."""
        future = self._cards.get(name)
        return future.result() if future is not None and future.done() else None

    def absent(self, name: str) -> bool:
        """True where the environment could not be loaded."""
        return name in self._absent

    async def cards(self) -> list[EnvCard]:
        """The card of every environment that could be loaded."""
        found = [await asyncio.shield(future) for future in list(self._cards.values())]
        return [card for card in found if card is not None]

    async def fork(self) -> tuple[int, socket.socket]:
        """A fresh worker's process id and the socket it serves. Raises WorldLost where the template dies."""
        await self.ready.wait()
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        assert self._control is not None
        answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._forks.append(answer)
        try:
            socket.send_fds(self._control, [b"F"], [theirs.fileno()])
            return await answer, ours
        except (OSError, WorldLost) as error:
            ours.close()
            raise WorldLost(f"the template is gone: {error}") from None
        finally:
            theirs.close()

    def close(self) -> None:
        """End the template, and with it every worker that is left."""
        self._closed = True
        self._drop()

    def _read(self) -> None:
        assert self._control is not None
        try:
            data = self._control.recv(1 << 20)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if not data:
            self._died()
            return
        *lines, self._buffer = (self._buffer + data).split(b"\n")
        for line in lines:
            self._hear(json.loads(line))

    def _hear(self, message: dict[str, JsonValue]) -> None:
        match message:
            case {"begin": str(name)}:
                self._loading = name
            case {"card": dict(card)}:
                shown = EnvCard.model_validate(card)
                self._learn(shown.env, shown)
            case {"absent": str(name), "detail": str(detail)}:
                self._leave_out(name, detail)
            case {"ready": True}:
                self._loading = ""
                self.ready.set()
            case {"forked": int(pid)}:
                future = self._forks.popleft()
                if not future.done():
                    future.set_result(pid)

    def _learn(self, name: str, card: EnvCard | None) -> None:
        if not self._cards[name].done():
            self._cards[name].set_result(card)

    def _leave_out(self, name: str, detail: str) -> None:
        self._absent[name] = detail
        print(f"envserver: '{name}' is left out: {detail}", file=sys.stderr, flush=True)
        self._learn(name, None)

    def _died(self) -> None:
        code = self._drop()
        if self._loading:
            self._leave_out(self._loading, f"its process died while it was loaded (exit code {code})")
            self._loading = ""
        asyncio.get_running_loop().call_later(REVIVE_S, self.start)

    def _drop(self) -> int | None:
        self.ready.clear()
        if self._control is not None:
            asyncio.get_running_loop().remove_reader(self._control.fileno())
            self._control.close()
            self._control = None
        code = None
        if self._process is not None:
            self._process.kill()
            code = self._process.wait()
            self._process = None
        while self._forks:
            future = self._forks.popleft()
            if not future.done():
                future.set_exception(WorldLost("the template died"))
        return code
