import pytest

from agents.conduct import accepted, headings, said, shown, targets
from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task


def turn(action: str | None, came: str | None) -> Turn:
    sample = Sample(ids=[], logprobs=[], stop="stop", temperature=1.0, version=0)
    reply = Reply(None, complaint="?") if action is None else Reply(Action(text=action))
    result = None if came is None else StepResult(observation=Observation(text=came))
    return Turn(Prompt([]), Move([], sample, ""), reply, result)


@pytest.mark.parametrize(
    ("action", "came", "choices", "taken"),
    [
        ("go east", "A room.", ["go east", "go west"], True),
        ("  GO  East", "A room.", ["go east"], True),
        ("go up", "A room.", ["go east"], False),
        ("go east", "Nothing happens.", ["go east"], True),
        ("go up", "A room.", [], True),
        ("go up", "Nothing happens.", [], False),
        ("go up", "\nYou can't go that way.", [], False),
        ("sing", "No known action matches that input.", [], False),
        (None, None, ["go east"], False),
        ("go east", None, ["go east"], False),
    ],
)
def test_an_action_is_accepted_where_it_was_shown_or_else_not_refused(action, came, choices, taken):
    assert accepted(turn(action, came), Observation(text=".", choices=choices)) is taken


def test_a_tool_call_is_judged_by_its_answer():
    call = Action(tool="search", arguments={"query": "x"})
    told = turn("x", "Three hits.")
    assert accepted(Turn(told.prompt, told.move, Reply(call), told.result), Observation(text=".", choices=["go east"]))


def test_an_unparsable_answer_leaves_the_observation_standing():
    first = StepResult(observation=Observation(text="A hall."))
    opened = Opened(session="s", instructions="", result=first)
    turns = [turn("go east", "A room."), turn(None, None), turn("go west", "A hall.")]
    episode = Episode(Task(env="keydoor", key="k"), turns, StopReason.DONE, opened=opened)
    assert [now.text for now in shown(episode)] == ["A hall.", "A room.", "A room."]


@pytest.mark.parametrize(
    ("command", "names"),
    [
        ("go to drawer 1", {"drawer 1"}),
        ("take apple 1 from fridge 1", {"apple 1", "fridge 1"}),
        ("put apple 1 in/on the Fridge 1", {"apple 1", "fridge 1"}),
        ("open red door", {"red door"}),
        ("use thermometer on metal pot", {"thermometer", "metal pot"}),
        ("go east", set()),
        ("look around", set()),
        ("inventory", set()),
        ("", set()),
    ],
)
def test_a_command_names_what_stands_between_its_little_words(command, names):
    assert targets(command) == names


def test_headings_are_told_from_names():
    assert headings("go east")
    assert not headings("go to eastern wall")


def test_an_action_is_said_in_one_plain_line():
    assert said(turn(" Go  EAST", ".")) == "go east"
    assert said(turn(None, None)) == ""
