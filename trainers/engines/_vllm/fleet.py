"""Many servers behind one engine: an episode stays where its prefix is cached, a new one goes where least is asked.

An engine is asked with ids alone. A prompt that continues an episode begins with the prompt and the answer of the turn
before, so the longest answered beginning of a prompt says which server has read it.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from trainers.engines._vllm.wire import Wire

__all__ = ["Fleet", "Server"]

REMEMBERED = 65536
"""Answers whose server is remembered; the oldest are forgotten first."""
_BASE, _MODULUS = 1_000_003, (1 << 61) - 1


@dataclass(slots=True, eq=False)
class Server:
    """One server as the engine sees it."""

    wire: Wire
    places: asyncio.Semaphore
    """As many answers as it may draw at once."""
    asked: int = 0
    """Answers it is asked for, those that wait for a place included."""
    up: bool = False
    """Whether it holds the engine's weights and may be asked."""
    model: str = ""
    """The name its policy is asked by."""
    returning: asyncio.Task[None] | None = None
    """Waits for it to come back, where it is gone."""
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Fleet:
    """The servers, and which has read what."""

    def __init__(self, servers: Sequence[Server]) -> None:
        self.servers = list(servers)
        self._home: OrderedDict[int, Server] = OrderedDict()

    @property
    def up(self) -> list[Server]:
        """Those that may be asked."""
        return [server for server in self.servers if server.up]

    def pick(self, prompt: Sequence[int]) -> Server | None:
        """Who has read the longest beginning of the prompt, else who is asked least; None where nobody is up."""
        up = self.up
        if len(up) < 2:
            return up[0] if up else None
        home: Server | None = None
        for value in _beginnings(prompt):
            if (found := self._home.get(value)) is not None and found.up:
                home = found
        return home or min(up, key=lambda server: server.asked)

    def settle(self, prompt: Sequence[int], ids: Sequence[int], server: Server) -> None:
        """`server` has read this prompt and its answer."""
        if len(self.servers) < 2:
            return
        value = _beginnings([*prompt, *ids])[-1]
        self._home[value] = server
        self._home.move_to_end(value)
        if len(self._home) > REMEMBERED:
            self._home.popitem(last=False)


def _beginnings(ids: Sequence[int]) -> list[int]:
    """A number for each beginning of a sequence, the whole last."""
    found, value = [], 0
    for one in ids:
        value = (value * _BASE + one + 1) % _MODULUS
        found.append(value)
    return found
