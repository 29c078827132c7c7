"""What the prompt tells is worked out from the history alone."""

from typing import Any

import pytest

from agents.contexts.rlvmr import Rlvmr
from agents.formats.rlvmr import Rlvmr as Tagged
from agents.types import History, Move, Prompt, Sample, Turn
from envserver.schema import Observation, Opened, StepResult, Task

FORMAT = Tagged()
SAMPLE = Sample(ids=[], logprobs=[], stop="stop", temperature=1.0, version=0)


def history(*texts: str) -> History:
    """Each text is an answer; the world answers `Room 1.`, `Room 2.` and so on, and shows two commands."""
    first = StepResult(observation=Observation(text="Your task: get out.", choices=["go east"]))
    found = History(Task(env="keydoor", key="k"), Opened(session="s", instructions="A maze.", result=first))
    for index, text in enumerate(texts, 1):
        reply = FORMAT.parse(text, found)
        shown = Observation(text=f"Room {index}.", choices=["go east", "go west"])
        result = StepResult(observation=shown) if reply.action else None
        found.turns.append(Turn(Prompt([]), Move([], SAMPLE, text), reply, result))
    return found


def answer(tag: str, words: str, action: str) -> str:
    return f"<{tag}>{words}</{tag}>\n<action>{action}</action>"


PLAN = answer("planning", "1. east 2. west", "go east")
ON = [answer("monitor", f"step {n}", f"go {n}") for n in range(6)]


async def message(found: History, **settings: Any) -> str:
    prompt = await Rlvmr(Rlvmr.Config(**settings), format=FORMAT).prompt(found)
    assert [part["role"] for part in prompt.messages] == ["system", "user"]
    return prompt.messages[1]["content"]


async def test_at_the_start_only_the_observation_is_told():
    assert await message(history()) == "Your task: get out.\n\nCommands:\n- go east"


async def test_task_steps_actions_outputs_plan_and_observation_stand_in_this_order():
    text = await message(history(PLAN, *ON[:4]), outputs=2)
    assert text == (
        "Your task: get out.\n\nSteps taken: 5\n\nYou did: go east\nYou did: go 0\nYou did: go 1\n\n"
        "You answered: <monitor>step 2</monitor>\n<action>go 2</action>\nRoom 4.\n\n"
        "You answered: <monitor>step 3</monitor>\n<action>go 3</action>\n\n"
        "Your plan: 1. east 2. west\n\nRoom 5.\n\nCommands:\n- go east\n- go west"
    )


async def test_the_plan_in_force_is_the_last_one():
    text = await message(history(PLAN, ON[0], answer("planning", "1. wait", "go west"), ON[1]), outputs=0)
    assert "Your plan: 1. wait" in text
    assert "1. east" not in text


async def test_a_plan_whose_answer_broke_the_format_is_not_in_force():
    assert "Your plan" not in await message(history("<planning>1. east</planning>"), outputs=0)


async def test_a_complaint_is_told_and_the_observation_stands():
    text = await message(history(PLAN, "north!"))
    assert "You answered: north!\n\nThe answer has no reasoning tags." in text
    assert text.endswith("Room 1.\n\nCommands:\n- go east\n- go west")
    assert "You gave no valid answer." in await message(history(PLAN, "north!", *ON[:1]), outputs=1)


@pytest.mark.parametrize(("setting", "gone"), [("actions", "You did"), ("plan", "Your plan")])
async def test_what_is_switched_off_is_not_told(setting, gone):
    found = history(PLAN, *ON)
    assert gone in await message(found)
    assert gone not in await message(found, **{setting: False})


async def test_the_history_is_read_and_never_edited():
    found = history(PLAN, *ON)
    before = list(found.turns)
    assert await message(found) == await message(found)
    assert found.turns == before
