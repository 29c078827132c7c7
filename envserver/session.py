"""One episode, as the server remembers it: an action log, the results given out, and where the next will come from."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from time import monotonic
from typing import NamedTuple

from pydantic_core import to_json

from envserver.errors import GymError
from envserver.schema import Action, EnvCard, Outcome, SessionState, Task
from envserver.workers.base import Home, World

__all__ = ["Kept", "Logged", "Session", "as_json", "logged"]

action_json: Callable[[Action], bytes] = Action.__pydantic_serializer__.to_json

Logged = str | bytes
"""An action in a log: its text where it is nothing but a text, else its JSON."""


class Kept(NamedTuple):
    """A session as a ledger has it."""

    task: Task
    owner: str | None
    parent: tuple[str, int | None] | None
    began_at: int
    told: bytes
    actions: list[Logged]
    results: list[bytes]
    """The opening result, then one a step: never fewer than `began_at` + 1."""
    outcome: Outcome | None


class Session:
    """One episode, as the server remembers it."""

    __slots__ = (
        "actions",
        "began_at",
        "born",
        "card",
        "closed",
        "failed_action",
        "failure",
        "flying",
        "home",
        "id",
        "lock",
        "log_bytes",
        "opening",
        "outcome",
        "owner",
        "parent",
        "playing",
        "playing_action",
        "results",
        "task",
        "told",
        "touched",
        "world",
    )

    def __init__(self, id: str, task: Task, card: EnvCard, home: Home, parent: tuple[str, int | None] | None) -> None:
        self.id = id
        self.task = task
        self.card = card
        self.home = home
        self.parent = parent
        """Session and index this one was forked at."""
        self.owner: str | None = None
        self.began_at = 0
        """Steps taken before this session: more than 0 after a fork."""
        self.world: World | None = None
        self.told = b""
        """The episode's own instructions and tools; empty where they are the environment's."""
        self.actions: list[Logged] = []
        self.results: list[bytes] = []
        """The opening result, then one a step."""
        self.log_bytes = 0
        """Size of the actions and results of the steps."""
        self.outcome: Outcome | None = None
        self.failure: GymError | None = None
        self.failed_action: Logged = b""
        self.opening: asyncio.Task[None] | None = None
        self.playing: asyncio.Future[bytes] | None = None
        self.playing_action: Logged = b""
        self.flying: asyncio.Future[tuple[int, bytes]] | None = None
        """The step that is with its worker without the lock; whoever takes the lock waits for it."""
        self.lock = asyncio.Lock()
        self.born = self.touched = monotonic()
        self.closed = False

    def recall(self, kept: Kept) -> None:
        """Be what was written down; the world is rebuilt when it is next needed."""
        self.owner, self.began_at, self.told = kept.owner, kept.began_at, kept.told
        self.actions, self.results, self.outcome = kept.actions, kept.results, kept.outcome
        self.log_bytes = sum(map(len, kept.actions)) + sum(map(len, kept.results[1:]))

    @contextlib.asynccontextmanager
    async def alone(self) -> AsyncIterator[None]:
        """The lock, and no step under way without it."""
        async with self.lock:
            while self.flying is not None:
                await asyncio.wait([self.flying])
            yield

    def state(self, lease_s: float) -> SessionState:
        """What the server knows, without the transcript."""
        now = monotonic()
        return SessionState(
            session=self.id,
            task=self.task,
            owner=self.owner,
            index=len(self.actions),
            over=self.outcome is not None,
            outcome=self.outcome,
            age_s=now - self.born,
            idle_s=now - self.touched,
            lease_s=lease_s,
        )

    def transcript(self, lease_s: float) -> bytes:
        """The same with the transcript, as JSON; spliced, since a log may hold megabytes."""
        head = self.state(lease_s).model_dump_json(exclude={"actions", "results"}).encode()
        actions = b",".join([_whole(action) for action in self.actions])
        return b'%b,"actions":[%b],"results":[%b]}' % (head[:-1], actions, b",".join(self.results))

    def let_go(self) -> None:
        """Close the world; the log stays."""
        world, self.world = self.world, None
        if world is not None:
            world.close()


def as_json(action: Logged) -> bytes:
    """A logged action as Action's JSON."""
    return action if isinstance(action, bytes) else b'{"text":%b}' % to_json(action)


def _whole(action: Logged) -> bytes:
    """A logged action as Action's JSON with every field."""
    return action if isinstance(action, bytes) else b'{"text":%b,"tool":null,"arguments":{}}' % to_json(action)


def logged(action: Action) -> Logged:
    """An action as it is logged."""
    return action_json(action) if action.arguments or action.tool is not None else action.text
