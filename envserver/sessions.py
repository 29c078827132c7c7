"""The session table: exactly-once steps by index, forks, leases, capacity, and worlds rebuilt by replay.

A session owns its action log and its results; the world is only where the next result comes from. So a retry is
answered from the log, and a lost world of a deterministic environment is rebuilt from it, each replayed result compared
byte for byte with the one that was given out.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from time import monotonic, perf_counter
from typing import Any, TypeVar

from pydantic import JsonValue
from pydantic_core import from_json, to_json

from envserver.config import ServerConfig
from envserver.core import Briefing
from envserver.errors import (
    BadRequest,
    EpisodeOver,
    GymError,
    OutOfTurn,
    WorldFailed,
    WorldSilent,
)
from envserver.ledger import Ledger
from envserver.metrics import Counts
from envserver.replay import Unrestorable, gym_error, rebuild, surviving
from envserver.schema import EnvCard, Outcome, SessionState, Task
from envserver.session import Logged, Session, as_json
from envserver.table import Table
from envserver.workers.base import Home, Result, World, WorldLost, briefed
from envserver.workers.inline import Inline, InlineWorld
from envserver.workers.nursery import Nursery
from envserver.workers.process import ProcessWorld, landed

__all__ = ["Sessions"]

T = TypeVar("T")


class Sessions:
    """Every session of one server."""

    def __init__(
        self, config: ServerConfig, nursery: Nursery, inline: Inline, processes: Home, ledger: Ledger | None = None
    ) -> None:
        self.config = config
        self.ledger = ledger
        self.nursery = nursery
        self.inline = inline
        self.processes = processes
        self.counts = Counts()
        self._max_steps, self._limit_bytes = config.max_steps, config.session_limit_bytes
        self._table = Table(config, nursery, self._home, self.counts, ledger)
        self._known = self._table.get
        self._tasks: set[asyncio.Task[Any]] = set()
        self._told: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._table)

    def start(self) -> None:
        """Begin to reap."""
        self._spawn(self._reap())

    async def close_all(self) -> None:
        """Forget every session; their worlds end with their homes."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        for session in self._table.values():
            if session.playing is not None:
                session.playing.cancel()
        self._table.clear()
        if self.ledger is not None:
            self.ledger.close()

    async def open(self, task: Task, id: str | None, owner: str | None = None) -> bytes:
        """Open `task`; answers Opened as JSON. The same id and task answer the same again.

        Raises UnknownEnv, UnknownTask, OutOfTurn for an id that is taken, GymFull, WorldFailed or WorldSilent.
        """
        card = await self.nursery.card(task.env)
        session = self._table.known(id) if id is not None else None
        if session is None:
            session = self._table.enter(id, task, card, None)
            session.owner = owner
            session.opening = self._spawn(self._open(session))
        elif session.task != task or session.parent is not None:
            raise OutOfTurn(f"session '{id}' plays another task; choose another id", session=id)
        return await self._opened(session)

    async def fork(self, id: str, index: int | None, new_id: str | None) -> bytes:
        """A second live session at step `index` of session `id`; answers Opened as JSON.

        Raises UnknownSession, OutOfTurn, BadRequest for an environment that can neither copy nor be replayed, GymFull.
        """
        source = self._table.find(id)
        parent = (id, index)
        copy = self._table.known(new_id) if new_id is not None else None
        if copy is not None and copy.parent != parent:
            raise OutOfTurn(f"session '{new_id}' is another one; choose another id", session=new_id)
        if copy is None:
            await self._settled(source)
            at = len(source.actions) if index is None else index
            if at > len(source.actions):
                raise OutOfTurn(f"index {at} is ahead; the session is at index {len(source.actions)}", session=id)
            copy = self._table.enter(new_id, source.task, source.card, parent)
            copy.began_at = at
            copy.actions = source.actions[:at]
            copy.results = source.results[: at + 1]
            copy.log_bytes = sum(map(len, copy.actions)) + sum(map(len, copy.results[1:]))
            copy.owner, copy.told = source.owner, source.told
            copy.opening = self._spawn(self._fork(source, copy))
        return await self._opened(copy)

    def step(self, id: str, index: int, asked: Logged) -> bytes | asyncio.Future[bytes]:
        """Play step `index`; answers StepResult as JSON, at once where the world is trivial or the step is taken.

        A returned future may be awaited by many and must be shielded. Raises UnknownSession, OutOfTurn, EpisodeOver or
        WorldFailed, as does the future, and WorldSilent.
        """
        session = self._known(id) or self._table.find(id)
        session.touched = monotonic()
        taken, world = len(session.actions), session.world
        if index == taken and type(world) is InlineWorld and session.playing is None:
            # A session that is over has no world.
            try:
                return self._record(session, asked, world.play(asked))
            except WorldFailed as error:
                session.failed_action = asked
                raise self._fail(session, error, "env_error") from None
        if index < taken:
            if session.actions[index] != asked:
                raise OutOfTurn(f"step {index} was another action; the next index is {taken}", session=id)
            self.counts.repeated += 1
            return session.results[index + 1]
        if session.outcome is not None:
            if session.failure is not None and index == taken and asked == session.failed_action:
                raise session.failure
            raise EpisodeOver(f"the episode is over ({session.outcome}); open another", session=id)
        if index > taken:
            raise OutOfTurn(f"index {index} is ahead; the next index is {taken}", session=id)
        if session.playing is not None:
            if session.playing_action != asked:
                raise OutOfTurn(f"step {index} is being played with another action; wait for it", session=id)
            return session.playing
        session.playing_action = asked
        session.playing = playing = asyncio.get_running_loop().create_future()
        began = perf_counter()
        if type(world) is ProcessWorld and not world.lost and not session.lock.locked():
            session.flying = flight = world.send(as_json(asked))
            flight.add_done_callback(partial(self._land, session, began))
        else:
            self._spawn(self._play(session, began, None))
        return playing

    async def expert(self, id: str) -> bytes:
        """The expert's next action as JSON, or `null`."""
        session = self._table.find(id)
        await self._settled(session)
        if session.outcome is not None:
            return b"null"
        return await self._with_world(session, lambda world: world.expert())

    def close(self, id: str) -> None:
        """Forget a session and let its world go; unknown ids are fine."""
        session = self._table.pop(id, None)
        self._table.forget(id)
        if session is not None:
            session.closed = True
            session.let_go()
            if session.outcome is None:
                self.counts.ended(session.task.env, "cancelled")

    async def state(self, id: str) -> bytes:
        """State and transcript of one session, a SessionState as JSON."""
        session = self._table.find(id)
        await self._settled(session)
        return session.transcript(self.config.lease_s)

    async def opened(self, id: str) -> bytes:
        """What opening a session answered, as JSON; and its lease renewed."""
        return await self._opened(self._table.find(id))

    def session(self, id: str) -> Session:
        """A session to look at, its lease renewed. Raises UnknownSession."""
        return self._table.find(id)

    def states(self) -> list[SessionState]:
        """Every session, without transcripts; renews nothing."""
        return [session.state(self.config.lease_s) for session in self._table.values()]

    async def tasks(self, env: str, split: str, offset: int, limit: int, options: Mapping[str, JsonValue]) -> bytes:
        """A TaskPage as JSON."""
        card = await self.nursery.card(env)
        return await self._home(card).tasks(env, split, offset, limit, options)

    async def demonstration(self, task: Task) -> bytes:
        """A Demonstration as JSON."""
        card = await self.nursery.card(task.env)
        return await self._home(card).demonstration(task)

    def _home(self, card: EnvCard) -> Home:
        return self.inline if card.weight == "trivial" else self.processes

    async def _opened(self, session: Session) -> bytes:
        if session.opening is not None:
            await asyncio.shield(session.opening)
        session.touched = monotonic()
        env = session.task.env
        told = session.told or self._told.get(env)
        if told is None:
            told = self._told[env] = briefed(Briefing(session.card.instructions, session.card.tools))
        id, index = session.id.encode(), session.began_at
        return b'{"session":"%b",%b,"result":%b,"index":%d}' % (id, told, session.results[index], index)

    async def _open(self, session: Session) -> None:
        try:
            world, result = await surviving(lambda: session.home.open(session.task))
        except (GymError, Unrestorable) as error:
            self._table.pop(session.id, None)
            raise gym_error(error, session.id) from None
        session.world, session.told = world, world.told
        session.results.append(result.body)
        session.opening = None
        # A lease begins when the world is there, however long that took.
        session.touched = monotonic()
        self.counts.opened += 1
        if session.closed:
            session.let_go()
            raise self._table.unknown(session.id)
        self._table.keep(session)
        if result.over:
            self._end(session, "truncated" if result.truncated else "terminated")

    async def _fork(self, source: Session, copy: Session) -> None:
        at = len(copy.actions)
        try:
            if at == len(source.actions) and source.outcome in ("terminated", "truncated"):
                copy.outcome = source.outcome
            else:
                if at == len(source.actions) and source.outcome is None:
                    async with source.alone():
                        if at == len(source.actions) and source.world is not None and not source.world.lost:
                            with contextlib.suppress(WorldLost):
                                copy.world = await source.world.copy()
                if copy.world is None:
                    if not copy.card.deterministic:
                        raise BadRequest(f"'{copy.task.env}' can neither be copied nor replayed, so not be forked")
                    await surviving(lambda: self._rebuild(copy))
        except (GymError, Unrestorable, WorldLost) as error:
            self._table.pop(copy.id, None)
            raise gym_error(error, copy.id) from None
        copy.opening = None
        self.counts.forked += 1
        if copy.closed:
            copy.let_go()
            raise self._table.unknown(copy.id)
        self._table.keep(copy)

    def _land(self, session: Session, began: float, flight: asyncio.Future[tuple[int, bytes]]) -> None:
        """A worker answered, or did not: only a step whose world is lost needs a task."""
        session.flying = None
        if flight.cancelled():
            return
        try:
            self._played(session, began, landed(flight.result()))
        except WorldLost as lost:
            self._spawn(self._play(session, began, lost))
        except GymError as error:
            outcome: Outcome = "timeout" if isinstance(error, WorldSilent) else "env_error"
            self._unplayed(session, self._fail(session, error, outcome))

    async def _play(self, session: Session, began: float, lost: WorldLost | None) -> None:
        """Play the step where there is something to wait for first."""
        asked = as_json(session.playing_action)
        try:
            if session.opening is not None:
                await asyncio.shield(session.opening)
            self._played(session, began, await self._with_world(session, lambda world: world.step(asked), lost))
        except Exception as error:
            self._unplayed(session, error)

    def _played(self, session: Session, began: float, result: Result) -> None:
        playing, session.playing = session.playing, None
        self.counts.waited(perf_counter() - began)
        body = self._record(session, session.playing_action, result)
        if playing is not None and not playing.done():
            playing.set_result(body)

    def _unplayed(self, session: Session, error: Exception) -> None:
        playing, session.playing = session.playing, None
        session.failed_action = session.playing_action
        if playing is not None and not playing.done():
            playing.set_exception(error)
            # Read, so that an error whose asker has gone is not reported a second time.
            playing.exception()

    async def _with_world(
        self, session: Session, call: Callable[[World], Awaitable[T]], lost: WorldLost | None = None
    ) -> T:
        """Call the session's world, rebuilt where it is lost; whatever fails ends the session."""

        async def attempt() -> T:
            if session.world is None or session.world.lost:
                await self._rebuild(session)
            assert session.world is not None
            return await call(session.world)

        async with session.alone():
            if session.closed:
                raise self._table.unknown(session.id)
            try:
                return await surviving(attempt, lost)
            except WorldSilent as error:
                raise self._fail(session, error, "timeout") from None
            except Unrestorable as error:
                raise self._fail(session, gym_error(error, session.id), "infra_error") from None
            except GymError as error:
                raise self._fail(session, error, "env_error") from None

    async def _rebuild(self, session: Session) -> None:
        self.counts.rebuilt += session.world is not None
        await rebuild(session)
        if session.closed:
            session.let_go()
            raise self._table.unknown(session.id)

    async def _settled(self, session: Session) -> None:
        """Wait for the opening and for the step that is being played."""
        if session.opening is not None:
            await asyncio.shield(session.opening)
        if session.playing is not None:
            await asyncio.wait([session.playing])

    def _record(self, session: Session, action: Logged, result: Result) -> bytes:
        body, over, truncated = result
        actions, results = session.actions, session.results
        actions.append(action)
        session.log_bytes = log_bytes = session.log_bytes + len(action) + len(body)
        self.counts.steps += 1
        if over:
            self._end(session, "truncated" if truncated else "terminated")
        elif len(actions) >= self._max_steps or log_bytes >= self._limit_bytes:
            body = to_json({**from_json(body), "truncated": True, "success": False})
            self._end(session, "truncated")
        if body == results[-1]:
            # A world that says the same again is remembered once: fresh memory costs more than the comparison.
            body = results[-1]
        results.append(body)
        if self.ledger is not None:
            self.ledger.stepped(session.id, action, body)
        return body

    def _end(self, session: Session, outcome: Outcome) -> None:
        session.outcome = outcome
        session.let_go()
        self.counts.ended(session.task.env, outcome)

    def _fail(self, session: Session, error: GymError, outcome: Outcome) -> GymError:
        error.session = session.id
        if session.outcome is None and not session.closed:
            session.failure = error
            self._table.forget(session.id)
            self._end(session, outcome)
        return error

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(min(self.config.lease_s / 4, 5.0))
            for session in self._table.silent():
                self.close(session.id)
                self.counts.reaped += 1
            if self.ledger is not None:
                self.counts.reaped += await asyncio.to_thread(self.ledger.sweep, self.config.lease_s)

    def _spawn(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """A task that outlives whoever asked for it."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._finished)
        return task

    def _finished(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled():
            # Read, so that an error whose asker has gone is not reported a second time.
            task.exception()
