"""Worlds inside the server's own process: only for environments that say they are trivial.

No call leaves the event loop's turn, so a step needs no task, no lock and no copy.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping

from pydantic import JsonValue

from envserver.catalogue import load_env
from envserver.errors import WorldFailed
from envserver.schema import Action, Task
from envserver.workers.base import Home, Result, Served, World, Worlds, played
from envserver.workers.nursery import Nursery

__all__ = ["Inline", "InlineWorld"]

read_action: Callable[[dict[str, str]], Action] = Action.__pydantic_validator__.validate_python


class InlineWorld(World):
    """A world that is stepped where it is asked."""

    __slots__ = ("env", "home", "number", "told")

    def __init__(self, home: Inline, number: int) -> None:
        self.home = home
        self.number = number
        self.env = home.worlds.env(number)
        self.told = b""

    @property
    def lost(self) -> bool:
        return False

    def play(self, action: str | bytes) -> Result:
        """Play one action, a text or Action's JSON, at once. Raises WorldFailed."""
        if type(action) is str:
            return played(self.env, read_action({"text": action}))
        return played(self.env, Action.model_validate_json(action))

    async def step(self, action: bytes) -> Result:
        return self.play(action)

    async def copy(self) -> InlineWorld | None:
        number = next(self.home.numbers)
        return InlineWorld(self.home, number) if self.home.worlds.copy(self.number, number) else None

    async def expert(self) -> bytes:
        action = self.home.worlds.expert(self.number)
        return b"null" if action is None else action.model_dump_json().encode()

    def close(self) -> None:
        self.home.worlds.close(self.number)


class Inline(Home):
    """The server's own worlds."""

    def __init__(self, nursery: Nursery) -> None:
        self.nursery = nursery
        self.served: dict[str, Served] = {}
        self.worlds = Worlds(self.served, nursery.max_steps)
        self.numbers = itertools.count()

    async def open(self, task: Task) -> tuple[InlineWorld, Result]:
        self._load(task.env)
        number = next(self.numbers)
        result = self.worlds.open(number, task)
        world = InlineWorld(self, number)
        try:
            world.told = self.worlds.told(number)
        except WorldFailed:
            world.close()
            raise
        return world, result

    async def tasks(self, env: str, split: str, offset: int, limit: int, options: Mapping[str, JsonValue]) -> bytes:
        self._load(env)
        return self.worlds.tasks(env, split, offset, limit, options).model_dump_json().encode()

    async def demonstration(self, task: Task) -> bytes:
        self._load(task.env)
        return self.worlds.demonstration(task).model_dump_json().encode()

    def close(self) -> None:
        """Let every world go."""
        self.worlds.close_all()

    def _load(self, env: str) -> None:
        if env not in self.served:
            self.served[env] = Served(load_env(self.nursery.specs[env]), self.nursery.options.get(env, {}))
