"""Every kind of player, in keydoor behind a served gym."""

import fcntl
import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios

import pytest
from rich.console import Console

from agents.contexts.full import Full
from agents.contexts.window import Window
from agents.formats.base import Format
from agents.formats.choice import Choice
from agents.policies.base import Policy
from agents.policies.expert import Expert
from agents.policies.human import Human
from agents.policies.llm import Llm
from agents.policies.random import Random
from agents.policies.scripted import Scripted
from agents.rollout import collect, play
from agents.types import ContextFull, History, Sample, StopReason
from envserver import plugins
from envserver.client import Gym
from envserver.schema import Task
from trainers.segments import segments

TASKS = [Task(env="keydoor", key=f"doors-3/train/{number:04d}") for number in range(4)]
CHOICE = Choice()
FULL = Full(format=CHOICE)


@pytest.fixture
async def gym(gym_url):
    async with Gym(gym_url) as gym:
        yield gym


class Says:
    """A sampler that answers each prompt with the ids of one text, and notes what it was asked."""

    def __init__(self, chat, text: str, *, context_tokens: int = 10_000) -> None:
        self.chat, self.text, self.context_tokens = chat, text, context_tokens
        self.prompts: list[list[int]] = []
        self.seeds: list[int | None] = []

    async def sample(self, prompt_ids, *, max_tokens, temperature, seed=None) -> Sample:
        if len(prompt_ids) + max_tokens > self.context_tokens:
            raise ContextFull(f"{len(prompt_ids)} + {max_tokens} tokens do not fit {self.context_tokens}")
        self.prompts.append(list(prompt_ids))
        self.seeds.append(seed)
        whole = self.chat.answer_ids(self.text)
        ids = whole[:max_tokens]
        stop = "stop" if len(ids) == len(whole) else "length"
        return Sample(ids, [-0.1] * len(ids), stop, temperature, version=3)  # type: ignore[arg-type]


async def one(gym, policy, *, format=CHOICE, context=FULL, max_turns=8, task=TASKS[0], seed=None):
    return await play(task, gym, policy, format, context, max_turns=max_turns, seed=seed)


async def test_an_expert_solves_what_it_is_shown(gym):
    groups = await collect(TASKS, gym, Expert(format=CHOICE), CHOICE, FULL, group_size=1, max_turns=8, concurrency=4)
    assert [episode.success for [episode] in groups] == [True] * len(TASKS)
    assert {episode.stop for [episode] in groups} == {StopReason.DONE}


async def test_an_experts_episode_is_one_segment_of_the_rendered_conversation(gym, chat):
    episode = await one(gym, Expert(format=CHOICE, chat=chat))
    [segment] = segments(episode, [1.0] * len(episode.turns))
    assert segment.logprobs == [0.0] * len(segment)
    last = episode.turns[-1]
    messages = [*last.prompt.messages, {"role": "assistant", "content": last.move.text}]
    assert chat.render(messages, generate=False).startswith(chat.decode(segment.ids))
    sampled = [token for token, mask in zip(segment.ids, segment.mask, strict=True) if mask]
    assert sampled == [token for turn in episode.turns for token in turn.move.sample.ids]


async def test_a_window_makes_a_segment_of_each_turn_it_renders_afresh(gym, chatml):
    context = Window(Window.Config(turns=1), format=CHOICE)
    episode = await one(gym, Llm(format=CHOICE, chat=chatml, sampler=Says(chatml, "0")), context=context, max_turns=4)
    assert len(segments(episode, [1.0] * 4)) == 3  # turns 0 and 1 share one; 2 and 3 are rendered afresh


async def test_an_expert_that_is_not_bound_says_so():
    with pytest.raises(RuntimeError, match="must be bound"):
        await Expert(format=CHOICE).act(None, None, None)  # type: ignore[arg-type]


async def test_a_random_player_is_a_function_of_its_seed(gym):
    async def texts(seed: int, concurrency: int):
        policy = Random(format=CHOICE)
        groups = await collect(
            TASKS, gym, policy, CHOICE, FULL, group_size=3, max_turns=6, concurrency=concurrency, seed=seed
        )
        return [[[turn.move.text for turn in episode.turns] for episode in group] for group in groups]

    first = await texts(1, 1)
    assert await texts(1, 12) == first
    assert await texts(2, 12) != first
    assert any(group[0] != group[1] for group in first)


async def test_a_model_keeps_the_ids_it_sampled(gym, chat):
    sampler = Says(chat, "99")
    settings = Llm.Config(max_tokens=9, temperature=0.7)
    episode = await one(gym, Llm(settings, format=CHOICE, chat=chat, sampler=sampler), max_turns=3)
    assert episode.stop is StopReason.MAX_TURNS
    assert sampler.seeds == [None] * 3
    assert [turn.move.prompt_ids for turn in episode.turns] == sampler.prompts
    for before, after in zip(episode.turns, episode.turns[1:], strict=False):
        exact = before.move.prompt_ids + before.move.sample.ids
        assert after.move.prompt_ids[: len(exact)] == exact
        assert after.prompt.messages[-1]["content"] == before.reply.complaint
    move = episode.turns[0].move
    assert (move.text, move.sample.temperature, move.sample.version) == ("99", 0.7, 3)


async def test_a_models_draws_are_seeded_by_episode_and_turn(gym, chatml):
    async def seeds(seed):
        sampler = Says(chatml, "99")
        policy = Llm(format=CHOICE, chat=chatml, sampler=sampler)
        await collect(TASKS[:2], gym, policy, CHOICE, FULL, group_size=2, max_turns=2, concurrency=1, seed=seed)
        return sampler.seeds

    first = await seeds(5)
    assert len(set(first)) == 8
    assert await seeds(5) == first
    assert not set(await seeds(6)) & set(first)


async def test_an_answer_cut_by_length_is_read_as_it_stands(gym, chatml):
    settings = Llm.Config(max_tokens=1)
    episode = await one(gym, Llm(settings, format=CHOICE, chat=chatml, sampler=Says(chatml, "1")), max_turns=2)
    assert episode.turns[0].move.sample.stop == "length"
    assert episode.turns[0].reply.action is not None
    assert chatml.stop_ids[0] not in episode.turns[0].move.sample.ids


async def test_a_full_context_ends_the_episode(gym, chatml):
    room = len(chatml.prompt_ids(await FULL.prompt(await started(gym)), None)) + 64
    sampler = Says(chatml, "99", context_tokens=room)
    episode = await one(gym, Llm(format=CHOICE, chat=chatml, sampler=sampler))
    assert episode.stop is StopReason.MAX_TOKENS
    assert len(episode.turns) == 1
    assert episode.reward == 0.0


async def started(gym):
    async with await gym.open(TASKS[0]) as world:
        return History(TASKS[0], world.opened)


async def test_a_script_is_said_word_for_word_and_then_ends(gym):
    episode = await one(gym, Scripted(Scripted.Config(texts=("1", "nonsense")), format=CHOICE))
    assert [turn.move.text for turn in episode.turns] == ["1", "nonsense"]
    assert (episode.stop, episode.reward) == (StopReason.RESIGNED, 0.0)


async def test_a_person_sees_what_a_model_would_see_and_leaves_with_the_end_of_input(gym):
    screen = io.StringIO()
    human = Human(format=CHOICE)
    human.console = Console(file=screen, width=200)
    human.stream = io.StringIO("1\n?\n")
    episode = await one(gym, human)
    assert [turn.move.text for turn in episode.turns] == ["1", "?"]
    assert episode.stop is StopReason.RESIGNED
    seen = screen.getvalue()
    assert episode.opened is not None
    assert CHOICE.rule in seen
    assert f"1. {episode.opened.result.observation.choices[0]}" in seen
    assert episode.turns[1].reply.complaint in seen


async def test_the_same_world_can_be_played_in_any_format(gym):
    for name in set(plugins.names("agents.formats")) - {"code"}:  # a command is no code
        format = plugins.load("agents.formats", name, Format)()
        episode = await one(gym, Expert(format=format), format=format, context=Full(format=format))
        assert episode.success, name


def test_a_model_without_a_sampler_is_refused(chatml):
    with pytest.raises(ValueError, match="needs a chat and a sampler"):
        Llm(format=CHOICE, chat=chatml)


@pytest.mark.parametrize("name", plugins.names("agents.policies"))
def test_every_policy_is_found_by_its_name_and_built_the_same_way(name, chatml):
    kind = plugins.load("agents.policies", name, Policy)
    assert kind(format=CHOICE, chat=chatml, sampler=Says(chatml, "1")).config == kind.Config()


TYPING = """
import asyncio, sys
from agents.contexts.full import Full
from agents.formats.choice import Choice
from agents.policies.human import Human
from agents.rollout import play
from envserver.client import Gym
from envserver.schema import Task

async def main():
    format = Choice()
    async with Gym(sys.argv[1]) as gym:
        task = Task(env="keydoor", key="doors-3/train/0000")
        episode = await play(task, gym, Human(format=format), format, Full(format=format), max_turns=9)
        print(episode.stop.value, [turn.move.text for turn in episode.turns])

asyncio.run(main())
"""


@pytest.mark.timeout(40)
@pytest.mark.parametrize(
    ("last_key", "end", "code"), [(b"\x04", "resigned ['1']", 0), (b"\x03", "KeyboardInterrupt", -signal.SIGINT)]
)
def test_a_person_at_a_terminal_can_leave_at_any_moment(gym_url, last_key, end, code):
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [sys.executable, "-c", TYPING, gym_url],
        stdin=slave,
        stdout=slave,
        stderr=slave,
        start_new_session=True,
        preexec_fn=lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0),
        env={**os.environ, "TERM": "dumb"},
    )
    os.close(slave)

    def read_until(mark: bytes) -> str:
        seen = b""
        while mark not in seen and select.select([master], [], [], 10)[0]:
            try:
                seen += os.read(master, 4096)
            except OSError:  # Linux's end of a terminal whose last user has gone
                break
        return seen.decode()

    try:
        assert "> " in read_until(b"> ")
        os.write(master, b"1\n")
        assert "> " in read_until(b"> ")
        os.write(master, last_key)
        assert end in read_until(b"no such mark")
        assert child.wait(timeout=10) == code
    finally:
        child.kill()
        child.wait()
        os.close(master)
