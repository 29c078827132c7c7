"""A person at a terminal: sees what a model would see, and types the answer."""

from __future__ import annotations

import asyncio
import threading
from typing import TextIO

from rich.console import Console
from rich.text import Text

from agents.policies.base import Policy, said
from agents.transcript import printable
from agents.types import History, Move, Prompt, Resigned, Turn

__all__ = ["Human"]


class Human(Policy):
    """Types its answers; end of input (Ctrl-D) resigns."""

    console: Console = Console()
    stream: TextIO | None = None
    """Where answers are read from; None: the terminal."""

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """One line typed."""
        unseen = prompt.messages if last is None else prompt.messages[-1:]
        for message in unseen:
            self.console.print(Text(printable(message["content"]), style="dim" if message["role"] == "system" else ""))
        line = await self._line()
        if line is None:
            raise Resigned("the player left")
        return said(line.rstrip("\n"))

    async def _line(self) -> str | None:
        """The next line; None at the end of input."""
        loop = asyncio.get_running_loop()
        typed: asyncio.Future[str | None] = loop.create_future()

        def hand_over(line: str | None) -> None:
            if not typed.done():
                typed.set_result(line)

        def read() -> None:
            try:
                line: str | None = self.console.input(Text("> ", style="bold"), stream=self.stream)
                if self.stream is not None and not line:
                    line = None
            except (EOFError, UnicodeDecodeError):
                line = None
            if not loop.is_closed():
                loop.call_soon_threadsafe(hand_over, line)

        # A daemon: an executor's thread would keep an interrupted program waiting for Enter.
        threading.Thread(target=read, name="human", daemon=True).start()
        return await typed
