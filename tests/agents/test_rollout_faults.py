"""What goes wrong at a chosen moment: a gym in process, over the real keydoor, that fails when it is told to."""

import asyncio
from collections import Counter, defaultdict

import pytest

from agents import rollout
from agents.contexts.full import Full
from agents.formats.choice import Choice
from agents.policies.base import Policy
from agents.policies.random import Random
from agents.rollout import collect, play
from agents.types import ContextFull, StopReason
from envserver import errors
from envserver.envs.keydoor import Keydoor
from envserver.schema import Action, Opened, Task

TASK = Task(env="keydoor", key="doors-3/train/0000")
FORMAT = Choice()
SEATS = (FORMAT, Full(format=FORMAT))
INFRA = [errors.WorldFailed, errors.WorldSilent, errors.GymUnreachable, errors.UnknownSession, errors.GymFull]
MISUSE = [errors.UnknownEnv, errors.UnknownTask, errors.Unauthorized, errors.Forbidden]


class FaultyGym:
    """Opens worlds; `faults` maps a verb to the error it raises, `waits` to the seconds it takes."""

    def __init__(self, faults=None, waits=None) -> None:
        self.faults, self.waits = faults or {}, waits or {}
        self.live: set[str] = set()
        self.most = 0
        self.calls = Counter()
        self.reached = defaultdict(asyncio.Event)

    async def at(self, verb: str) -> None:
        self.calls[verb] += 1
        self.reached[verb].set()
        await asyncio.sleep(self.waits.get(verb, 0))
        if verb in self.faults:
            raise self.faults[verb]

    async def open(self, task: Task, *, session: str) -> "FaultyWorld":
        await self.at("open")
        self.live.add(session)
        self.most = max(self.most, len(self.live))
        return FaultyWorld(self, task, session)


class FaultyWorld:
    def __init__(self, gym: FaultyGym, task: Task, session: str) -> None:
        self.gym, self.session = gym, session
        self.env = Keydoor(Keydoor.Config())
        self.opened = Opened(session=session, instructions="", result=self.env.reset(task))

    async def step(self, action: Action):
        await self.gym.at("step")
        return self.env.step(action)

    async def close(self) -> None:
        await self.gym.at("close")
        self.gym.live.discard(self.session)


class Breaks(Policy):
    """Raises what it is given."""

    error: BaseException = TypeError("a bug")

    async def act(self, prompt, last, history):
        raise self.error


@pytest.mark.parametrize("kind", INFRA)
@pytest.mark.parametrize("verb", ["open", "step"])
async def test_a_world_that_breaks_ends_its_episode_with_a_sentence(kind, verb):
    gym = FaultyGym({verb: kind("it fell over")})
    [[episode]] = await collect([TASK], gym, Random(format=FORMAT), *SEATS, group_size=1, max_turns=3, concurrency=1)
    assert episode.stop is StopReason.ERROR
    assert episode.error == f"{kind.__name__}: it fell over"
    assert episode.reward is None
    assert [turn.result for turn in episode.turns] == ([None] if verb == "step" else [])
    assert not gym.live


@pytest.mark.parametrize("kind", MISUSE)
async def test_what_every_episode_would_meet_is_raised(kind):
    gym = FaultyGym({"open": kind("no")})
    with pytest.raises(kind):
        await collect([TASK] * 3, gym, Random(format=FORMAT), *SEATS, group_size=2, max_turns=3, concurrency=2)


async def test_a_request_that_the_server_refuses_is_a_bad_answer():
    gym = FaultyGym({"step": errors.BadRequest("the action is too long")})
    episode = await play(TASK, gym, Random(format=FORMAT), *SEATS, max_turns=2)
    assert episode.stop is StopReason.MAX_TURNS
    assert [turn.reply.complaint for turn in episode.turns] == ["the action is too long"] * 2
    assert episode.turns[1].prompt.messages[-1]["content"] == "the action is too long"


async def test_a_bug_in_a_policy_comes_out_as_itself_and_leaves_nothing_open():
    gym = FaultyGym()
    with pytest.raises(TypeError, match="a bug"):
        await collect([TASK] * 4, gym, Breaks(format=FORMAT), *SEATS, group_size=4, max_turns=3, concurrency=8)
    assert not gym.live


async def test_a_bug_in_on_episode_comes_out_as_itself():
    def tell(task, episode):
        raise KeyError("a bug")

    gym = FaultyGym()
    policy = Random(format=FORMAT)
    with pytest.raises(KeyError, match="a bug"):
        await collect([TASK], gym, policy, *SEATS, group_size=2, max_turns=1, concurrency=1, on_episode=tell)
    assert not gym.live


async def test_a_full_context_stops_the_episode_and_keeps_its_reward():
    policy = Breaks(format=FORMAT)
    policy.error = ContextFull("4096 tokens")
    episode = await play(TASK, FaultyGym(), policy, *SEATS, max_turns=3)
    assert (episode.stop, episode.reward) == (StopReason.MAX_TOKENS, 0.0)


async def test_any_other_value_error_is_a_bug():
    policy = Breaks(format=FORMAT)
    policy.error = ValueError("not a context")
    with pytest.raises(ValueError, match="not a context"):
        await play(TASK, FaultyGym(), policy, *SEATS, max_turns=3)


@pytest.mark.parametrize("verb", ["open", "step", "close"])
async def test_a_cancelled_collect_closes_every_world(verb):
    gym = FaultyGym(waits={verb: 0.05})
    playing = asyncio.create_task(
        collect([TASK] * 3, gym, Random(format=FORMAT), *SEATS, group_size=2, max_turns=4, concurrency=4)
    )
    await gym.reached[verb].wait()
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert not gym.live
    assert gym.calls["open"] == gym.calls["close"] > 0


async def test_a_second_cancel_does_not_leave_a_world_open():
    gym = FaultyGym(waits={"step": 9, "close": 0.05})
    playing = asyncio.create_task(play(TASK, gym, Random(format=FORMAT), *SEATS, max_turns=4))
    await gym.reached["step"].wait()
    playing.cancel()
    await gym.reached["close"].wait()
    playing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await playing
    assert not gym.live


async def test_a_world_that_does_not_close_is_left_to_its_lease(monkeypatch, caplog):
    monkeypatch.setattr(rollout, "CLOSE_S", 0.02)
    gym = FaultyGym(waits={"close": 60})
    async with asyncio.timeout(5):
        episode = await play(TASK, gym, Random(format=FORMAT), *SEATS, max_turns=1, id="slow")
    assert episode.valid
    assert "session slow did not close" in caplog.text


async def test_a_failed_close_does_not_spoil_the_episode():
    gym = FaultyGym({"close": errors.GymUnreachable("gone")})
    episode = await play(TASK, gym, Random(format=FORMAT), *SEATS, max_turns=1)
    assert episode.valid


async def test_never_more_worlds_are_open_than_the_concurrency_allows():
    gym = FaultyGym(waits={"step": 0.001})
    await collect([TASK] * 5, gym, Random(format=FORMAT), *SEATS, group_size=4, max_turns=3, concurrency=3)
    assert gym.most == 3
    assert gym.calls["open"] == 20
