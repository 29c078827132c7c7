"""Who plays next."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from agents.contexts.full import Full
from agents.formats.choice import Choice
from agents.places import Places
from agents.policies.random import Random
from agents.rollout import collect
from agents.types import Outdated
from envserver.client import Gym
from envserver.schema import Task

FORMAT = Choice()
SEATS = (FORMAT, Full(format=FORMAT))
TASKS = [Task(env="keydoor", key=f"doors-2/train/{number:04d}") for number in range(2)]


@pytest.fixture
async def gym(gym_url: str) -> AsyncIterator[Gym]:
    async with Gym(gym_url) as gym:
        yield gym


async def test_a_lower_rank_goes_first_and_equals_in_the_order_they_came():
    places, order, held, most = Places(2), [], 0, 0

    async def one(rank: int, name: str) -> None:
        nonlocal held, most
        async with places.take(rank):
            held += 1
            most = max(most, held)
            order.append(name)
            await asyncio.sleep(0)
            held -= 1

    await asyncio.gather(
        *(one(rank, f"{rank}{name}") for rank, name in ((2, "a"), (2, "b"), (2, "c"), (1, "a"), (2, "d"), (1, "b")))
    )
    assert order == ["2a", "2b", "1a", "1b", "2c", "2d"]
    assert most == 2


async def test_who_is_cancelled_takes_no_place_with_it():
    places = Places(1)
    async with places.take(0):
        waiting = [asyncio.create_task(taken(places)) for _ in range(2)]
        await asyncio.sleep(0)
        waiting[0].cancel()
        await asyncio.sleep(0)
    # The place goes to the second, and it is cancelled in the same moment.
    waiting[1].cancel()
    await asyncio.wait(waiting)
    async with asyncio.timeout(5), places.take(0):
        pass
    with pytest.raises(ValueError, match="at least 1 place, not 0"):
        Places(0)


async def taken(places: Places) -> None:
    async with places.take(0):
        pass


async def test_an_episode_that_is_outdated_is_played_anew_and_its_world_closed(gym: Gym):
    class Twice(Random):
        given_up = 0

        async def act(self, prompt, last, history):
            if len(history.turns) == 1 and Twice.given_up < 3:
                Twice.given_up += 1
                raise Outdated
            return await super().act(prompt, last, history)

    before = {state.session for state in await gym.sessions()}  # of killed runs
    groups = await collect(
        TASKS, gym, Twice(format=FORMAT), *SEATS, group_size=2, max_turns=3, concurrency=Places(2), seed=1
    )
    again = await collect(TASKS, gym, Random(format=FORMAT), *SEATS, group_size=2, max_turns=3, concurrency=2, seed=1)
    assert Twice.given_up == 3
    said = [[[turn.move.text for turn in one.turns] for one in group] for group in groups]
    assert said == [[[turn.move.text for turn in one.turns] for one in group] for group in again]
    assert {state.session for state in await gym.sessions()} == before
