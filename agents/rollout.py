"""`play` and `collect`: the only loop that plays.

What goes wrong has three kinds. A bad answer is an observation: the complaint is shown, a turn is spent, the world is
untouched. A bad rollout is data: a world or a wire that breaks ends the episode with `StopReason.ERROR` and its
sentence. A bad program is an exception: an unknown environment, a wrong token, a TypeError end the collecting.
A world is closed however its episode ends.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import time
from collections.abc import Awaitable, Callable, Sequence
from random import Random
from typing import TYPE_CHECKING
from uuid import uuid4

from agents.contexts.base import Context
from agents.formats.base import Format
from agents.places import Places
from agents.policies.base import Policy
from agents.types import (
    ContextFull,
    Episode,
    History,
    Outdated,
    Reply,
    Resigned,
    StopReason,
    SummariesSpent,
    Turn,
)
from envserver.errors import BadRequest, Forbidden, GymError, Unauthorized, UnknownEnv, UnknownTask
from envserver.schema import Task

if TYPE_CHECKING:
    from envserver.client import Gym, World

__all__ = ["collect", "play"]

MISUSE = (BadRequest, Unauthorized, Forbidden, UnknownEnv, UnknownTask)
"""Errors that every other episode would meet too: they are raised, not recorded."""
CLOSE_S = 10.0
"""Longest wait for a world to close; after it the server's lease frees the session."""

log = logging.getLogger(__name__)


async def play(
    task: Task,
    gym: Gym,
    policy: Policy,
    format: Format,
    context: Context,
    *,
    max_turns: int,
    id: str | None = None,
    seed: int | None = None,
) -> Episode:
    """Play one episode of at most `max_turns` turns, summaries not counted.

    `id` names the episode and its session; None makes one. `seed` makes the policy's draws a function of it; None draws
    freely. Raises what is wrong with the program: UnknownEnv, UnknownTask, Unauthorized, Forbidden, and any error that
    is no GymError.
    """
    if max_turns < 1:
        raise ValueError(f"max_turns is {max_turns}; an episode needs at least one turn")
    id = id or uuid4().hex
    started = time.monotonic()
    try:
        world = await _opened(gym, task, id)
    except MISUSE:
        raise
    except GymError as error:
        return Episode(task, [], StopReason.ERROR, error=_sentence(error), id=id, wall_s=time.monotonic() - started)
    try:
        history = History(task, world.opened)
        try:
            stop, sentence = await _turns(world, history, policy.bind(world, seed), format, context, max_turns)
        except MISUSE:
            raise
        except GymError as error:
            stop, sentence = StopReason.ERROR, _sentence(error)
    finally:
        await _closed(world)
    wall_s = time.monotonic() - started
    return Episode(task, history.turns, stop, error=sentence, id=id, opened=world.opened, wall_s=wall_s)


async def collect(
    tasks: Sequence[Task],
    gym: Gym,
    policy: Policy,
    format: Format,
    context: Context,
    *,
    group_size: int,
    max_turns: int,
    concurrency: int | Places,
    rank: int = 0,
    seed: int | None = None,
    on_episode: Callable[[Task, Episode], Awaitable[None] | None] | None = None,
) -> list[list[Episode]]:
    """Play `group_size` episodes of each task, at most `concurrency` at once: [N][G], in the order of `tasks`.

    `concurrency` may be places that are shared with other calls: those of a lower `rank` go first. `on_episode` is
    called as each episode ends. `seed` gives each episode its own seed; None draws freely. An episode that is Outdated
    is played anew. Raises what `play` raises, after every other episode was cancelled and its world closed.
    """
    if group_size < 1:
        raise ValueError(f"group_size is {group_size}; a group has at least one episode")
    places = concurrency if isinstance(concurrency, Places) else Places(concurrency)

    async def one(n: int, g: int) -> Episode:
        episode_seed = None if seed is None else Random(f"{seed}/{n}/{g}").getrandbits(63)
        async with places.take(rank):
            while True:
                try:
                    episode = await play(tasks[n], gym, policy, format, context, max_turns=max_turns, seed=episode_seed)
                except Outdated:
                    continue
                break
        if on_episode is not None:
            told = on_episode(tasks[n], episode)
            if inspect.isawaitable(told):
                await told
        return episode

    try:
        async with asyncio.TaskGroup() as group:
            playing = [[group.create_task(one(n, g)) for g in range(group_size)] for n in range(len(tasks))]
    except BaseExceptionGroup as errors:
        # The first error ended the others; one sentence about it is worth more than a tree.
        raise errors.exceptions[0] from None
    return [[task.result() for task in row] for row in playing]


async def _turns(
    world: World, history: History, policy: Policy, format: Format, context: Context, max_turns: int
) -> tuple[StopReason, str | None]:
    """Play turns into `history` until something stops them: why, and the sentence where that is an error."""
    result = history.opened.result
    left = max_turns
    while left and not result.over:
        try:
            prompt = await context.prompt(history)
            move = await policy.act(prompt, history.before(prompt), history)
        except ContextFull:
            return StopReason.MAX_TOKENS, None
        except SummariesSpent:
            return StopReason.MAX_SUMMARIES, None
        except Resigned:
            return StopReason.RESIGNED, None
        if prompt.kind == "summary":
            history.turns.append(Turn(prompt, move, Reply(None), None))
            continue
        left -= 1
        reply = format.parse(move.text, history)
        if reply.action is None:
            history.turns.append(Turn(prompt, move, reply, None))
            continue
        try:
            result = await world.step(reply.action)
        except BadRequest as error:
            # The server's limits are tighter than the format's: a bad answer like any other.
            history.turns.append(Turn(prompt, move, Reply(None, reply.tag, error.detail), None))
            continue
        except GymError:
            history.turns.append(Turn(prompt, move, reply, None))
            raise
        history.turns.append(Turn(prompt, move, reply, result))
    if result.terminated:
        return StopReason.DONE, None
    if result.truncated:
        return StopReason.TRUNCATED, None
    return StopReason.MAX_TURNS, None


async def _opened(gym: Gym, task: Task, id: str) -> World:
    """Open a world; where the wait is cancelled, the world that may come all the same is closed."""
    opening = asyncio.create_task(gym.open(task, session=id))
    try:
        return await asyncio.shield(opening)
    except asyncio.CancelledError:
        await asyncio.wait({opening}, timeout=CLOSE_S)
        if not opening.done():
            opening.cancel()
        elif not opening.cancelled() and opening.exception() is None:
            await _closed(opening.result())
        raise


async def _closed(world: World) -> None:
    """Close a world, also while cancelled; a world that cannot be closed is left to its lease."""
    closing = asyncio.create_task(_close(world))
    try:
        await asyncio.wait({closing}, timeout=CLOSE_S)
    except asyncio.CancelledError:
        await asyncio.wait({closing}, timeout=CLOSE_S)
        raise
    finally:
        if not closing.done():
            closing.cancel()
            log.warning("session %s did not close in %g s; its lease will free it", world.session, CLOSE_S)
        elif not closing.cancelled():
            closing.result()


async def _close(world: World) -> None:
    try:
        await world.close()
    except GymError as error:
        log.info("session %s was not closed: %s", world.session, error)


def _sentence(error: GymError) -> str:
    return f"{type(error).__name__}: {error.detail}"
