"""The client for code that does not await: SyncGym and SyncWorld, the same verbs, blocking.

One background thread runs the event loop of one Gym; any number of threads may call, and their calls share its frames.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Sequence
from concurrent.futures import CancelledError, Future
from types import TracebackType
from typing import Any, Self, TypeVar

import uvloop

from envserver.client import Gym, World
from envserver.errors import GymError, GymUnreachable
from envserver.schema import (
    Action,
    Demonstration,
    EnvCard,
    Health,
    Opened,
    SessionState,
    StepResult,
    Task,
    TaskPage,
)

__all__ = ["SyncGym", "SyncWorld"]

T = TypeVar("T")


class SyncGym:
    """A gym at a URL. Raises the errors of `envserver.errors`."""

    def __init__(self, url: str, *, token: str | None = None, timeout_s: float = 120.0) -> None:
        self._loop = uvloop.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="gym", daemon=True)
        self._thread.start()
        self._closing = threading.Lock()
        self._gym = self._wait(_made(url, token, timeout_s))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection and stop the thread; safe to call twice."""
        with self._closing:
            if self._loop.is_closed():
                return
            try:
                self._wait(self._gym.close())
            finally:
                self._loop.call_soon_threadsafe(self._loop.stop)
                self._thread.join()
                self._loop.close()

    def open(self, task: Task, *, session: str | None = None) -> SyncWorld:
        """Open a session; a given id makes a second call the same session."""
        return SyncWorld(self, self._wait(self._gym.open(task, session=session)))

    def open_all(self, tasks: Sequence[Task]) -> list[SyncWorld | GymError]:
        """Open many sessions in one frame; each is answered or refused on its own."""
        worlds = self._wait(_gathered([self._gym.open(task) for task in tasks]))
        return [world if isinstance(world, GymError) else SyncWorld(self, world) for world in worlds]

    def step_all(self, steps: Sequence[tuple[SyncWorld, Action | str]]) -> list[StepResult | GymError]:
        """Step many sessions in one frame; each is answered or refused on its own."""
        return self._wait(_gathered([world._world.step(action) for world, action in steps]))

    def close_all(self, worlds: Sequence[SyncWorld]) -> None:
        """End many sessions in one frame."""
        self._wait(_gathered([world._world.close() for world in worlds]))

    def envs(self) -> list[EnvCard]:
        """Every environment the server offers."""
        return self._wait(self._gym.envs())

    def card(self, env: str) -> EnvCard:
        """One environment of the catalogue."""
        return self._wait(self._gym.card(env))

    def tasks(
        self, env: str, split: str, *, offset: int = 0, limit: int = 1000, options: dict[str, Any] | None = None
    ) -> TaskPage:
        """A page of a split's task keys, as these options list them."""
        return self._wait(self._gym.tasks(env, split, offset=offset, limit=limit, options=options))

    def health(self) -> Health:
        """Liveness, capacity and limits."""
        return self._wait(self._gym.health())

    def sessions(self) -> list[SessionState]:
        """Every live session."""
        return self._wait(self._gym.sessions())

    def state(self, session: str) -> SessionState:
        """One session with its transcript."""
        return self._wait(self._gym.state(session))

    def demonstration(self, task: Task) -> Demonstration:
        """How the expert plays a task; needs a server with `--expert`."""
        return self._wait(self._gym.demonstration(task))

    def submit(self, use: Callable[[Gym], Coroutine[Any, Any, T]]) -> Future[T]:
        """Begin what `use` makes of the async client, on its loop: for whoever waits elsewhere, or not at all."""
        return self._begun(use(self._gym))

    def run(self, use: Callable[[Gym], Coroutine[Any, Any, T]]) -> T:
        """The same, waited for."""
        return self._wait(use(self._gym))

    def _begun(self, call: Coroutine[Any, Any, T]) -> Future[T]:
        if self._loop.is_closed():
            call.close()
            raise GymUnreachable("this SyncGym is closed; make another one")
        return asyncio.run_coroutine_threadsafe(call, self._loop)

    def _wait(self, call: Coroutine[Any, Any, T]) -> T:
        """The call's result; whatever interrupts the wait, such as Ctrl-C, cancels the call."""
        future = self._begun(call)
        try:
            return future.result()
        except CancelledError:
            raise GymUnreachable("this SyncGym was closed during the call; make another one") from None
        finally:
            future.cancel()


class SyncWorld:
    """One session."""

    def __init__(self, gym: SyncGym, world: World) -> None:
        self._gym = gym
        self._world = world

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def session(self) -> str:
        """The session's id."""
        return self._world.session

    @property
    def opened(self) -> Opened:
        """What opening answered."""
        return self._world.opened

    @property
    def index(self) -> int:
        """Steps taken."""
        return self._world.index

    @property
    def result(self) -> StepResult:
        """The last result."""
        return self._world.result

    @property
    def over(self) -> bool:
        """True once no further step will be answered."""
        return self._world.over

    def step(self, action: Action | str) -> StepResult:
        """Play one action; played exactly once, however often the connection breaks."""
        return self._gym._wait(self._world.step(action))

    def fork(self, index: int | None = None) -> SyncWorld:
        """A second session at that step, or at this one."""
        return SyncWorld(self._gym, self._gym._wait(self._world.fork(index)))

    def expert(self) -> Action | None:
        """The expert's next action; needs a server with `--expert`."""
        return self._gym._wait(self._world.expert())

    def close(self) -> None:
        """End the session; safe to call twice."""
        self._gym._wait(self._world.close())


async def _gathered(calls: Sequence[Coroutine[Any, Any, T]]) -> list[T | GymError]:
    """All of them in one turn of the loop, hence in one frame. Raises what is no GymError."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException) and not isinstance(answer, GymError):
            raise answer
    return answers  # type: ignore[return-value]


async def _made(url: str, token: str | None, timeout_s: float) -> Gym:
    """A Gym made on its own loop."""
    return Gym(url, token=token, timeout_s=timeout_s)
