"""Play over a served gym."""

import asyncio
import os
import signal
import sys
import time
import uuid

import pytest

from agents.contexts.full import Full
from agents.formats.choice import Choice
from agents.policies.base import Policy, said
from agents.policies.random import Random
from agents.policies.scripted import Scripted
from agents.rollout import collect, play
from agents.types import StopReason
from envserver.client import Gym
from envserver.errors import UnknownEnv, UnknownTask
from envserver.launch import launch
from envserver.schema import Task

TASKS = [Task(env="keydoor", key=f"doors-3/train/{number:04d}") for number in range(6)]
FORMAT = Choice()
SEATS = (FORMAT, Full(format=FORMAT))


@pytest.fixture
async def gym(gym_url):
    async with Gym(gym_url) as gym:
        yield gym


async def live(gym) -> set[str]:
    return {state.session for state in await gym.sessions()}


async def test_groups_come_back_in_the_order_of_their_tasks(gym):
    told = []
    groups = await collect(
        TASKS,
        gym,
        Random(format=FORMAT),
        *SEATS,
        group_size=4,
        max_turns=10,
        concurrency=8,
        on_episode=lambda task, episode: told.append((task, episode.id)),
    )
    assert [[episode.task for episode in group] for group in groups] == [[task] * 4 for task in TASKS]
    episodes = [episode for group in groups for episode in group]
    assert sorted(id for _, id in told) == sorted(episode.id for episode in episodes)
    assert len({episode.id for episode in episodes}) == 24
    assert {episode.stop for episode in episodes} <= {StopReason.DONE, StopReason.TRUNCATED, StopReason.MAX_TURNS}
    assert all(uuid.UUID(hex=episode.id).version == 4 for episode in episodes)
    assert all(group[0].opened.result == episode.opened.result for group in groups for episode in group)
    assert not await live(gym) & {episode.id for episode in episodes}


async def test_the_worlds_own_ending_is_the_reason_to_stop(gym):
    script = Scripted(Scripted.Config(texts=("99",) * 3), format=FORMAT)
    episode = await play(TASKS[0], gym, script, *SEATS, max_turns=3)
    assert (episode.stop, episode.rewards) == (StopReason.MAX_TURNS, [0.0] * 3)
    assert [turn.result for turn in episode.turns] == [None] * 3
    short = Task(env="keydoor", key="doors-3/train/0000", options={"max_steps": 4})
    nonsense = Wanders(format=FORMAT)
    episode = await play(short, gym, nonsense, *SEATS, max_turns=9)
    assert episode.stop is StopReason.TRUNCATED
    assert len(episode.turns) == 4


class Wanders(Policy):
    """Does what changes nothing: takes the first command that is no way out."""

    async def act(self, prompt, last, history):
        choices = history.observation.choices
        return said(str(next(i for i, choice in enumerate(choices, 1) if "door" not in choice)))


async def test_an_unparsable_answer_leaves_the_world_untouched(gym):
    script = Scripted(Scripted.Config(texts=("99", "1")), format=FORMAT)
    odd = await play(TASKS[0], gym, script, *SEATS, max_turns=2)
    plain = await play(TASKS[0], gym, Scripted(Scripted.Config(texts=("1",)), format=FORMAT), *SEATS, max_turns=1)
    assert odd.turns[1].result == plain.turns[0].result


async def test_an_episode_has_the_id_it_was_given(gym):
    episode = await play(TASKS[0], gym, Random(format=FORMAT), *SEATS, max_turns=1, id="my-own")
    assert episode.id == "my-own"
    assert episode.opened.session == "my-own"
    assert episode.wall_s > 0


async def test_an_unknown_environment_or_key_is_raised(gym):
    policy = Random(format=FORMAT)
    with pytest.raises(UnknownEnv):
        await collect([Task(env="keydor", key="x")], gym, policy, *SEATS, group_size=2, max_turns=1, concurrency=2)
    with pytest.raises(UnknownTask):
        await collect([Task(env="keydoor", key="x")], gym, policy, *SEATS, group_size=2, max_turns=1, concurrency=2)
    assert not [state for state in await gym.sessions() if state.task.key == "x"]


@pytest.mark.parametrize("sizes", [(0, 1, 1), (1, 0, 1), (1, 1, 0)])
async def test_sizes_below_one_are_refused(gym, sizes):
    group_size, concurrency, max_turns = sizes
    with pytest.raises(ValueError, match="at least"):
        await collect(
            TASKS,
            gym,
            Random(format=FORMAT),
            *SEATS,
            group_size=group_size,
            concurrency=concurrency,
            max_turns=max_turns,
        )


class Waits(Policy):
    """Plays a turn, says so, and thinks for ever."""

    playing: asyncio.Event

    async def act(self, prompt, last, history):
        if last is None:
            return said("1")
        self.playing.set()
        return await asyncio.Future()


async def test_a_cancelled_collect_leaves_no_open_session(gym):
    before = await live(gym)
    policy = Waits(format=FORMAT)
    policy.playing = asyncio.Event()
    playing = asyncio.create_task(collect(TASKS, gym, policy, *SEATS, group_size=3, max_turns=9, concurrency=9))
    await policy.playing.wait()
    assert await live(gym) - before
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert not await live(gym) - before


INTERRUPTED = """
import asyncio, sys
from agents.contexts.full import Full
from agents.formats.choice import Choice
from agents.policies.base import Policy, said
from agents.rollout import collect
from envserver.client import Gym
from envserver.schema import Task

class Waits(Policy):
    async def act(self, prompt, last, history):
        if last is None:
            return said("1")
        print("playing", flush=True)
        return await asyncio.Future()

async def main():
    format = Choice()
    tasks = [Task(env="keydoor", key=f"doors-3/train/{n:04d}") for n in range(4)]
    async with Gym(sys.argv[1]) as gym:
        await collect(tasks, gym, Waits(format=format), format, Full(format=format),
                      group_size=2, max_turns=9, concurrency=4)

asyncio.run(main())
"""


async def test_an_interrupted_program_leaves_no_open_session(gym, gym_url):
    before = await live(gym)
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", INTERRUPTED, gym_url, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        assert child.stdout is not None
        assert await child.stdout.readline() == b"playing\n"
        assert await live(gym) - before
        child.send_signal(signal.SIGINT)
        async with asyncio.timeout(20):
            _, errors = await child.communicate()
    finally:
        if child.returncode is None:
            child.kill()
    assert b"KeyboardInterrupt" in errors
    assert not await live(gym) - before


class Kills(Policy):
    """Kills the server after its first turn."""

    pid = 0

    async def act(self, prompt, last, history):
        if last is not None:
            os.kill(self.pid, signal.SIGKILL)
        return said("1")


async def test_a_server_that_is_killed_makes_errors_and_no_hang():
    with launch(["keydoor"], workers=1) as served:
        async with Gym(served.url, timeout_s=3) as gym:
            policy = Kills(format=FORMAT)
            policy.pid = served.pid
            started = time.monotonic()
            groups = await collect(TASKS[:2], gym, policy, *SEATS, group_size=2, max_turns=5, concurrency=4)
    for episode in (episode for group in groups for episode in group):
        assert episode.stop is StopReason.ERROR
        assert "GymUnreachable" in (episode.error or "")
        assert episode.reward is None
    assert time.monotonic() - started < 30
