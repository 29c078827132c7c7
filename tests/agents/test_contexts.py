"""What the policy sees is a function of what has happened, and nothing in it is edited."""

import copy

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.contexts.base import Context
from agents.contexts.best import Best
from agents.contexts.full import Full
from agents.contexts.window import Window
from agents.formats.choice import Choice
from agents.formats.plain import Plain
from agents.policies.base import said
from agents.types import History, Reply, Turn
from envserver import plugins
from envserver.schema import Action, Observation, Opened, StepResult, Task


def shown(text: str, *choices: str) -> StepResult:
    return StepResult(observation=Observation(text=text, choices=list(choices)))


def begun() -> History:
    task = Task(env="keydoor", key="doors-3/train/0000")
    return History(task, Opened(session="s", instructions="Get out.", result=shown("room 0", "go on", "wait")))


async def played(context: Context, answers: list[bool]) -> History:
    """A history in which each answer is read (True) or not (False)."""
    history = begun()
    for index, read in enumerate(answers):
        prompt = await context.prompt(history)
        reply = Reply(Action(text=f"go {index}")) if read else Reply(None, complaint=f"what? {index}")
        result = shown(f"room {index + 1}", "go on") if read else None
        history.turns.append(Turn(prompt, said(f"answer {index}"), reply, result))
    return history


def spelt(messages) -> list[tuple[str, str]]:
    return [(message["role"], message["content"]) for message in messages]


@given(answers=st.lists(st.booleans(), max_size=8))
async def test_full_prompts_continue_each_other_exactly(answers):
    context = Full(format=Plain())
    history = await played(context, answers)
    last = await context.prompt(history)
    prompts = [*(turn.prompt for turn in history.turns), last]
    for before, turn, after in zip(prompts, history.turns, prompts[1:], strict=False):
        n = len(before.messages)
        assert after.messages[:n] == before.messages
        assert after.messages[n] == {"role": "assistant", "content": turn.move.text}
        assert len(after.messages) == n + 2
    roles = [message["role"] for message in last.messages]
    assert roles == ["system", "user", *["assistant", "user"] * len(answers)]


async def test_a_complaint_is_the_next_observation():
    context = Full(format=Plain())
    prompt = await context.prompt(await played(context, [False]))
    assert prompt.messages[-1] == {"role": "user", "content": "what? 0"}


async def test_a_window_keeps_the_last_turns_and_tells_the_older_ones():
    context = Window(Window.Config(turns=1), format=Plain())
    prompt = await context.prompt(await played(context, [True, True, True]))
    assert spelt(prompt.messages)[1:] == [
        ("user", "room 0\n\nYou did: go 0\nYou did: go 1\n\nroom 2\n\nCommands:\n- go on"),
        ("assistant", "answer 2"),
        ("user", "room 3\n\nCommands:\n- go on"),
    ]


async def test_a_window_can_forget_everything_but_the_present():
    config = Window.Config(turns=0, dropped="nothing", keep_first=False)
    context = Window(config, format=Plain())
    prompt = await context.prompt(await played(context, [True, True]))
    assert spelt(prompt.messages)[1:] == [("user", "room 2\n\nCommands:\n- go on")]


async def test_the_choices_that_hold_stay_in_a_window_after_complaints():
    context = Window(Window.Config(turns=1, dropped="nothing"), format=Choice())
    prompt = await context.prompt(await played(context, [True, False, False]))
    assert spelt(prompt.messages)[1:] == [
        ("user", "room 0\n\nroom 1\n\n1. go on\n\nwhat? 1"),
        ("assistant", "answer 2"),
        ("user", "what? 2"),
    ]


async def test_the_first_observation_is_not_shown_twice_while_it_stands():
    context = Window(Window.Config(turns=1), format=Plain())
    prompt = await context.prompt(await played(context, [False, True]))
    first = prompt.messages[1]["content"]
    assert first == "You gave no valid answer.\n\nroom 0\n\nCommands:\n- go on\n- wait\n\nwhat? 0"


@given(answers=st.lists(st.booleans(), max_size=8), turns=st.integers(0, 9))
async def test_a_window_that_is_not_full_yet_shows_what_full_shows(answers, turns):
    window, full = Window(Window.Config(turns=turns), format=Plain()), Full(format=Plain())
    seen = (await window.prompt(await played(window, answers))).messages
    everything = (await full.prompt(await played(full, answers))).messages
    assert (seen == everything) == (len(answers) <= turns or not answers)
    assert len(seen) == 2 + 2 * min(turns, len(answers))


@pytest.mark.parametrize("name", plugins.names("agents.contexts"))
async def test_no_context_edits_the_history_or_keeps_a_state(name):
    context = plugins.load("agents.contexts", name, Context)(format=Plain())
    history = await played(context, [True, False, True, True, True, True])
    before, state = copy.deepcopy(history), copy.deepcopy(vars(context.config))
    first, second = await context.prompt(history), await context.prompt(history)
    assert first == second
    assert history == before
    assert vars(context.config) == state
    assert set(vars(context)) == {"config", "format", "library", "chat"}


async def scored(context: Context, *rewards: float | None) -> History:
    """A history whose turns had these rewards; None: the answer could not be read."""
    history = await played(context, [reward is not None for reward in rewards])
    for at, reward in enumerate(rewards):
        turn = history.turns[at]
        if turn.result is not None:
            earned = turn.result.model_copy(update={"reward": reward})
            history.turns[at] = Turn(turn.prompt, turn.move, turn.reply, earned)
    return history


async def test_the_best_turns_are_told_in_the_order_of_play():
    context = Best(Best.Config(keep=2), format=Plain())
    prompt = await context.prompt(await scored(context, 0.5, 2.0, 0.0, 1.0, None))
    assert spelt(prompt.messages)[1:] == [
        ("user", "room 0\n\nCommands:\n- go on\n- wait"),
        ("assistant", "answer 1"),
        ("user", "room 2\n\nCommands:\n- go on"),
        ("assistant", "answer 3"),
        ("user", "room 4\n\nCommands:\n- go on"),
    ]


async def test_among_equals_the_later_turn_is_told():
    context = Best(Best.Config(keep=1), format=Plain())
    prompt = await context.prompt(await scored(context, 1.0, 1.0, 0.0))
    assert prompt.messages[2]["content"] == "answer 1"
    prompt = await context.prompt(await scored(context, 0.0, None))
    assert prompt.messages[2:] == [
        {"role": "assistant", "content": "answer 1"},
        {"role": "user", "content": "what? 1"},
    ]


async def test_until_there_are_more_the_prompts_are_those_of_full():
    best, full = Best(Best.Config(keep=3), format=Plain()), Full(format=Plain())
    history = await scored(full, 0.0, 1.0, None)
    assert await best.prompt(history) == await full.prompt(history)
    assert len((await Best(Best.Config(keep=0), format=Plain()).prompt(history)).messages) == 2
