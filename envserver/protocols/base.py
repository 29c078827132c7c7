"""What a protocol is: a wire of the field, spoken over the one session table.

A file on this shelf is a protocol; its name is the first part of its paths (`/openenv/...`). It is built once, with a
Host, and called as an ASGI application for whatever is asked under its path, the bearer token and the limit of a body
seen to. It keeps no sessions of its own: an Episode is a handle of an ordinary one, with its lease, its log and its
place in the metrics, and whoever has but a session's id makes another handle of it.
"""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import TypeAdapter
from pydantic_core import from_json
from typing_extensions import TypedDict

from envserver.choice import Choice
from envserver.errors import BadRequest, GymFull
from envserver.schema import Action, EnvCard, Opened, StepResult, Task, ToolSpec
from envserver.session import Logged, logged

if TYPE_CHECKING:
    from envserver.config import ServerConfig
    from envserver.sessions import Sessions
    from envserver.workers.nursery import Nursery

__all__ = ["MOUNTED", "Choice", "Episode", "Host", "Protocol", "split"]

MOUNTED = frozenset(("kernelgym",))
"""Files of this shelf that evaluate programs, not sessions, and are served where the setting `mounts` asks for them."""

Message = dict[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]


class Briefed(TypedDict):
    """An episode's own briefing, as `workers.base.briefed` writes it."""

    instructions: str
    tools: list[ToolSpec]


BRIEFED = TypeAdapter(Briefed)


class Episode:
    """A session, as an adapter plays it: the next step's index is kept here, so that no step is played twice."""

    __slots__ = ("_sessions", "id", "index")

    def __init__(self, sessions: Sessions, id: str, index: int) -> None:
        self._sessions = sessions
        self.id = id
        self.index = index
        """Steps taken."""

    def ask(self, action: Logged) -> bytes | asyncio.Future[bytes]:
        """The next step's StepResult as JSON, at once where it is there; whoever has it calls `took`.

        A future must be shielded. Raises what Sessions.step does, now or in the future.
        """
        return self._sessions.step(self.id, self.index, action)

    def took(self) -> None:
        """The step that was asked for is played."""
        self.index += 1

    async def step(self, action: Action) -> StepResult:
        """Play one action, to its end whether or not the asker stays."""
        answer = self.ask(logged(action))
        body = answer if isinstance(answer, bytes) else await asyncio.shield(answer)
        self.took()
        return StepResult.model_validate_json(body)

    async def opened(self) -> Opened:
        """What opening the session answered, and its lease renewed. Raises UnknownSession."""
        return Opened.model_validate_json(await self._sessions.opened(self.id))

    def tools(self) -> list[ToolSpec]:
        """The episode's own tools, or its environment's; and the lease renewed. Raises UnknownSession."""
        session = self._sessions.session(self.id)
        return BRIEFED.validate_json(b"{%b}" % session.told)["tools"] if session.told else session.card.tools

    def last(self) -> bytes:
        """The last StepResult as JSON, and the lease renewed. Raises UnknownSession."""
        return self._sessions.session(self.id).results[-1]

    def close(self) -> None:
        """End the session; safe to call twice."""
        self._sessions.close(self.id)


class Host:
    """What a protocol is given: the session table, the catalogue, the limits."""

    def __init__(self, sessions: Sessions, nursery: Nursery, config: ServerConfig) -> None:
        self.sessions = sessions
        self.nursery = nursery
        self.config = config

    async def card(self, env: str) -> EnvCard:
        """One environment of the catalogue. Raises UnknownEnv."""
        return await self.nursery.card(env)

    async def keys(self, env: str, split: str, offset: int, limit: int) -> tuple[list[str], int]:
        """A page of a split's keys, and how many there are. Raises UnknownEnv, or UnknownTask for the split."""
        page = from_json(await self.sessions.tasks(env, split, offset, limit, {}))
        return page["keys"], page["total"]

    async def task(self, env: str, choice: Choice) -> Task:
        """The task that is asked for. Raises UnknownEnv or UnknownTask."""
        card = await self.card(env)

        async def page(split: str, offset: int) -> tuple[list[str], int]:
            found = from_json(await self.sessions.tasks(env, split, offset, 1, choice.options))
            return found["keys"], found["total"]

        return await choice.task(env, next(iter(card.splits)), page)

    async def open(self, task: Task, *, id: str | None = None, owner: str | None = None) -> tuple[Episode, Opened]:
        """A session at its first state; a given id makes a second call the same. Raises what Sessions.open does."""
        opened = Opened.model_validate_json(await self.sessions.open(task, id, owner))
        session = self.sessions.session(opened.session)
        return Episode(self.sessions, session.id, len(session.actions)), opened

    async def follow(
        self, last: Episode | None, task: Task, *, id: str | None = None, owner: str | None = None
    ) -> tuple[Episode, Opened]:
        """The same in the place of `last`, which is closed once the next is open, so that a refused one loses nothing.

        In a full gym `last` gives its room first. Raises what Sessions.open does.
        """
        try:
            following = await self.open(task, id=id, owner=owner)
        except GymFull:
            if last is None:
                raise
            last.close()
            return await self.open(task, id=id, owner=owner)
        if last is not None:
            last.close()
        return following

    def episode(self, id: str, env: str | None = None) -> Episode:
        """A handle of a session that is open, at its next step. Raises UnknownSession."""
        session = self.sessions.session(id)
        if env is not None and session.task.env != env:
            raise BadRequest(f"session '{id}' plays '{session.task.env}', not '{env}'")
        return Episode(self.sessions, session.id, len(session.actions))


class Protocol(ABC):
    """One wire: an ASGI application under the path of its name."""

    websocket: ClassVar[bool] = False
    """Whether WebSockets are answered, too."""
    agents: ClassVar[tuple[bytes, ...]] = ()
    """How the User-Agent begins of clients that know no path but the root: what they ask there is this protocol's."""

    def __init__(self, host: Host) -> None:
        self.host = host

    @abstractmethod
    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer what is asked; `scope["path"]` is whole, `scope["root_path"]` is the protocol's own path."""

    def close(self) -> None:  # noqa: B027
        """The server ends; safe to call twice."""


def split(result: bytes) -> tuple[bytes, bytes]:
    """A StepResult's JSON as its observation's JSON and, without braces, all that follows."""
    # An observation holds a text and texts; inside them a quote is escaped.
    at = result.index(b']},"reward":') + 2
    return result[len(b'{"observation":') : at], result[at + 1 : -1]
