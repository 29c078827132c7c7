"""Worlds rebuilt from their action logs, and calls that outlive the worker they were sent to."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

from envserver.errors import GymError, WorldFailed
from envserver.session import Session, as_json
from envserver.workers.base import WorldLost

__all__ = ["Unrestorable", "gym_error", "rebuild", "surviving"]

T = TypeVar("T")

MAX_DEATHS = 3
"""Workers that may die under one call before its session is given up."""
DEATH_PAUSE_S = 0.05
"""Pause after such a death, so that workers killed together count once."""
MAX_REBUILDS = 5
"""Times a world is rebuilt for one call before its session is given up."""


class Unrestorable(Exception):
    """Raised inside where the machinery lost a world for good; on the wire it is a WorldFailed."""


def gym_error(error: Exception, session: str) -> GymError:
    """What the wire says of it."""
    known = error if isinstance(error, GymError) else WorldFailed(str(error))
    known.session = session
    return known


async def surviving(attempt: Callable[[], Awaitable[T]], lost: WorldLost | None = None) -> T:
    """Call again on another worker where one died, unless it is this very call that kills them.

    `lost` is how a first attempt ended that was made elsewhere.
    """
    deaths = 0
    for _ in range(MAX_REBUILDS):
        try:
            if lost is not None:
                error, lost = lost, None
                raise error
            return await attempt()
        except WorldLost as death:
            if death.culprit:
                deaths += 1
                if deaths >= MAX_DEATHS:
                    break
                await asyncio.sleep(DEATH_PAUSE_S)
    raise Unrestorable(f"the world's worker died {max(deaths, 1)} times in the same call")


async def rebuild(session: Session) -> None:
    """Replay the action log on a fresh world."""
    lost, session.world = session.world, None
    if lost is not None:
        lost.close()
        if not session.card.deterministic:
            raise Unrestorable("its worker died, and the environment does not promise to replay the same")
    world, result = await session.home.open(session.task)
    try:
        replayed = [result, *await _all([world.step(as_json(action)) for action in session.actions])]
        for index, (again, given) in enumerate(zip(replayed, session.results, strict=True)):
            if again.body != given:
                raise Unrestorable(f"its worker died, and the replay differs from what was seen at index {index}")
    except BaseException:
        world.close()
        raise
    session.world = world


async def _all(calls: list[Coroutine[Any, Any, T]]) -> list[T]:
    """Every answer; where one fails the others are awaited first, so that no error is left unread."""
    answers = await asyncio.gather(*calls, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers  # type: ignore[return-value]
