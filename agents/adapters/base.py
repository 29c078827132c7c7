"""An episode as another trainer plays it, and what every adapter is told.

A trainer begins an episode with a row of its data set, which names a task as `envserver.choice` reads it, plays calls
or texts, and asks for the reward. What breaks under way (a world that failed, a lease that ran out, a server that has
gone) is data: the episode is over, its reward is None, and the adapter says it in its trainer's words. What every
other episode would meet too, such as an unknown task, is raised.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field
from functools import cache
from numbers import Integral
from typing import Any, NamedTuple, TypeVar

from pydantic import JsonValue, ValidationError

from agents.formats.plain import Plain
from envserver.choice import Choice
from envserver.client import Gym, World
from envserver.errors import BadRequest, GymError, WorldFailed, WorldSilent
from envserver.schema import Action, EnvCard, Opened, StepResult, Task
from envserver.sync import SyncGym
from envserver.toolset import called

__all__ = ["Answer", "Place", "Play", "after", "briefing", "shown"]

T = TypeVar("T")

OVER = "The episode is over."


@dataclass(frozen=True)
class Place:
    """Which environment is played, and where it is served."""

    url: str
    env: str
    token: str | None = None
    options: Mapping[str, JsonValue] = field(default_factory=dict, hash=False)
    """Options of every task; a row's own are put on top."""

    def run(self, use: Callable[[Gym], Coroutine[Any, Any, T]]) -> T:
        """What `use` makes of the gym comes to; for callers that do not await."""
        return _shared(self.url, self.token, os.getpid()).run(use)

    def submit(self, use: Callable[[Gym], Coroutine[Any, Any, Any]]) -> None:
        """The same, begun and not waited for."""
        _shared(self.url, self.token, os.getpid()).submit(use)

    async def wait(self, use: Callable[[Gym], Coroutine[Any, Any, T]]) -> T:
        """The same for callers on an event loop of their own."""
        return await asyncio.wrap_future(_shared(self.url, self.token, os.getpid()).submit(use))

    def card(self) -> EnvCard:
        """The environment in the catalogue. Raises UnknownEnv or GymUnreachable."""
        return _shared(self.url, self.token, os.getpid()).card(self.env)


@cache
def _shared(url: str, token: str | None, pid: int) -> SyncGym:
    """One connection a process and server: what many episodes ask at once travels in one frame. A forked process has
    threads of its own."""
    return SyncGym(url, token=token)


class Answer(NamedTuple):
    """What came of a call or an action."""

    text: str
    """What the model sees: the observation, or why nothing was played."""
    result: StepResult | None = None
    """None where nothing was played."""


class Play:
    """One episode at a time. Its coroutines run on the gym's loop (`Place.run`); calls at once are played in order."""

    def __init__(self, place: Place) -> None:
        self.place = place
        self.world: World | None = None
        """None before the first episode, and once one is over or lost."""
        self.result: StepResult | None = None
        """The last one."""
        self.steps = 0
        self.failure: str | None = None
        """The sentence that says what broke."""
        self._rewards = 0.0
        self._turn = asyncio.Lock()

    @property
    def reward(self) -> float | None:
        """The sum of the steps' rewards so far; None where the episode is lost and counts nowhere."""
        return None if self.failure is not None else self._rewards

    @property
    def success(self) -> bool:
        """Whether the task is solved."""
        return self.result is not None and self.result.success is True

    async def begin(self, gym: Gym, row: Mapping[str, Any]) -> Opened | None:
        """Open the task that a row names; the episode before it is closed. None: the world failed, `failure` says how.

        Raises BadRequest for a row that names no task, since all rollouts of a row have to play the same episode, and
        what Gym.open does of what no other episode would be spared.
        """
        async with self._turn:
            return await self._begin(gym, row)

    async def call(self, name: str, arguments: dict[str, Any]) -> Answer:
        """Play a call of one tool."""
        async with self._turn:
            return await self._call(name, arguments)

    async def first_call(self, gym: Gym, row: Mapping[str, Any], name: str, arguments: dict[str, Any]) -> Answer:
        """Begin, and play a call before any that waits."""
        async with self._turn:
            await self._begin(gym, row)
            return await self._call(name, arguments)

    async def step(self, action: Action) -> Answer:
        """Play an action."""
        async with self._turn:
            if self.world is None:
                return Answer(self.failure or OVER)
            return await self._step(self.world, action)

    async def end(self) -> None:
        """Close the world; ending again is fine."""
        async with self._turn:
            await self._leave()

    async def _begin(self, gym: Gym, row: Mapping[str, Any]) -> Opened | None:
        await self._leave()
        self.result, self.steps, self.failure, self._rewards = None, 0, None, 0.0
        task = await _task(gym, self.place.env, _choice(row, self.place.options))
        try:
            self.world = await gym.open(task)
        except (WorldFailed, WorldSilent) as error:
            self.failure = _sentence(error)
            return None
        self.result = self.world.result
        return self.world.opened

    async def _call(self, name: str, arguments: dict[str, Any]) -> Answer:
        if self.world is None:
            return Answer(self.failure or OVER)
        try:
            action = called(name, arguments, self.world.opened.tools)
        except ValidationError as error:
            return Answer(f"The call cannot be read: {error.errors()[0]['msg']}.")
        except ValueError as error:
            return Answer(str(error))
        return await self._step(self.world, action)

    async def _step(self, world: World, action: Action) -> Answer:
        try:
            self.result = await world.step(action)
        except BadRequest as error:
            return Answer(error.detail)
        except GymError as error:
            self.failure = _sentence(error)
            await self._leave()
            return Answer(self.failure)
        self.steps += 1
        self._rewards += self.result.reward
        if self.result.over:
            await self._leave()
        return Answer(shown(self.result), self.result)

    async def _leave(self) -> None:
        world, self.world = self.world, None
        if world is not None:
            with contextlib.suppress(GymError):
                await world.close()


def shown(result: StepResult) -> str:
    """What a model sees of a result."""
    return Plain().show(result.observation)


def briefing(opened: Opened) -> str:
    """What a model that calls tools sees before its first call; the tools are the chat template's to show."""
    return f"{opened.instructions.strip()}\n\n{shown(opened.result)}"


def after(content: str, text: str) -> str:
    """A message's content with more after it."""
    return f"{content.rstrip()}\n\n{text}" if content.strip() else text


def _choice(row: Mapping[str, Any], options: Mapping[str, JsonValue]) -> Choice:
    # A table has a value in every row, and None where a row says nothing; numpy's integers are not Python's.
    said = {name: row[name] for name in Choice.model_fields if row.get(name) is not None}
    options_here = said.pop("options", {})
    if not isinstance(options_here, Mapping):
        raise BadRequest(f"a row's options cannot be read: they are a {type(options_here).__name__}, not a mapping")
    own = {name: value for name, value in options_here.items() if value is not None}
    said |= {name: int(said[name]) for name in ("index", "seed") if isinstance(said.get(name), Integral)}
    try:
        choice = Choice(**said, options={**options, **own})
    except ValidationError as error:
        where = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise BadRequest(f"a row's {where or 'task'} cannot be read: {error.errors()[0]['msg']}") from None
    if choice.key is None and choice.index is None and choice.seed is None:
        raise BadRequest("a row names no task; give it a key, or an index (and split), or a seed")
    return choice


async def _task(gym: Gym, env: str, choice: Choice) -> Task:
    async def page(split: str, offset: int) -> tuple[list[str], int]:
        found = await gym.tasks(env, split, offset=offset, limit=1, options=choice.options)
        return found.keys, found.total

    asks_first_split = choice.key is None and choice.split is None
    return await choice.task(env, next(iter((await gym.card(env)).splits)) if asks_first_split else "", page)


def _sentence(error: GymError) -> str:
    return f"{type(error).__name__}: {error.detail}"
