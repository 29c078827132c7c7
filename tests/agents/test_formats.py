"""What is written is read back; what cannot be read is a complaint, never an exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.formats.base import Format
from agents.formats.choice import Choice
from agents.formats.plain import Plain
from agents.formats.react import React
from agents.types import History
from envserver import plugins
from envserver.schema import Action, Observation, Opened, StepResult, Task, ToolSpec

FORMATS: list[Format] = [Plain(), React(), Choice()]
COMMAND = st.text(min_size=1, max_size=40).map(lambda text: " ".join(text.split())).filter(bool)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)
SEARCH = ToolSpec(name="search", description="Look a word up.", parameters={"type": "object"})


def history(choices=(), *, tools=()) -> History:
    result = StepResult(observation=Observation(text="A hall.", choices=list(choices)))
    task = Task(env="keydoor", key="doors-3/train/0000")
    return History(task, Opened(session="s", instructions="Get out.", tools=list(tools), result=result))


@pytest.fixture(params=FORMATS, ids=lambda format: type(format).__name__)
def format(request) -> Format:
    return request.param


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: type(each).__name__)
@given(choices=st.lists(COMMAND, min_size=1, max_size=6), tools=st.booleans())
def test_every_choice_that_is_written_is_read_back(each, choices, tools):
    now = history(choices, tools=[SEARCH] if tools else [])
    for choice in choices:
        assert each.parse(each.write(Action(text=choice), now), now).action == Action(text=choice)


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: type(each).__name__)
@given(arguments=st.dictionaries(st.text(max_size=8), JSON, max_size=3))
def test_a_tool_call_that_is_written_is_read_back(each, arguments):
    now, call = history(tools=[SEARCH]), Action(tool="search", arguments=arguments)
    assert each.parse(each.write(call, now), now).action == call


@pytest.mark.parametrize("each", FORMATS, ids=lambda each: type(each).__name__)
@given(text=st.text(), choices=st.lists(COMMAND, max_size=3), tools=st.booleans())
def test_any_answer_is_an_action_or_a_complaint(each, text, choices, tools):
    reply = each.parse(text, history(choices, tools=[SEARCH] if tools else []))
    assert (reply.action is None) == bool(reply.complaint)


@pytest.mark.parametrize("text", ["", " \n\t", "Thought: hm\nAction:   "])
def test_an_empty_answer_is_a_complaint(text):
    assert React().parse(text, history()).complaint
    assert Plain().parse(text.replace("Thought: hm\nAction:", ""), history()).complaint
    assert Choice().parse(text, history(["go east"])).complaint


@pytest.mark.parametrize("text", ["x" * (1 << 20) + "x", "lone \ud800 surrogate"])
def test_a_command_that_no_wire_carries_is_a_complaint(format, text):
    reply = format.parse(f"Action: {text}" if isinstance(format, React) else text, history())
    assert reply.action is None
    assert "cannot be read" in reply.complaint
    assert len(reply.complaint) < 300


@pytest.mark.parametrize(
    "line",
    [
        "{",
        "{}",
        '{"tool": 3}',
        '{"tool": "search", "x": 1}',
        '{"tool": "search", "arguments": {"a": NaN}}',
        '{"a":' * 99999,
    ],
)
def test_a_broken_tool_call_is_a_complaint(line):
    reply = Plain().parse(line, history(tools=[SEARCH]))
    assert reply.action is None
    assert "cannot be read" in reply.complaint


def test_braces_are_a_command_where_the_world_has_no_tools():
    assert Plain().parse('{"tool": "search"}', history()).action == Action(text='{"tool": "search"}')


def test_plain_reads_the_first_line_that_is_not_empty():
    assert Plain().parse("\n\n  go east \nor not", history()).action == Action(text="go east")


def test_react_reads_the_first_action_and_no_dreams():
    text = "Thought: I should look.\naction : look\nObservation: a dragon\nAction: flee"
    assert React().parse(text, history()).action == Action(text="look")
    assert "Action:" in React().parse("Thought: I should look.", history()).complaint


@pytest.mark.parametrize("text", ["2", " 2\n", "2. take key", "[2]", "(2)", "#2", "2, because 1 is locked"])
def test_choice_reads_the_number_at_the_start(text):
    assert Choice().parse(text, history(["go east", "take key"])).action == Action(text="take key")


@pytest.mark.parametrize("text", ["0", "3", "-1", "take key", "999999999", "9" * 5000, "two", "²"])
def test_choice_complains_with_the_range(text):
    reply = Choice().parse(text, history(["go east", "take key"]))
    assert reply.action is None
    assert "a number from 1 to 2" in reply.complaint


def test_choice_takes_the_command_itself_where_none_is_shown():
    assert Choice().parse("look", history()).action == Action(text="look")


def test_an_action_that_the_format_has_no_words_for_is_refused():
    with pytest.raises(ValueError, match="one line"):
        Plain().write(Action(text="two\nlines"), history())
    with pytest.raises(ValueError, match="not among the 1 shown"):
        Choice().write(Action(text="fly"), history(["go east"]))


def test_an_observation_shows_its_commands():
    observation = Observation(text="A hall.\n", choices=["go east", "take key"])
    assert Plain().show(observation) == "A hall.\n\nCommands:\n- go east\n- take key"
    assert Choice().show(observation) == "A hall.\n\n1. go east\n2. take key"
    assert Choice().show(Observation(text="A hall.\n")) == "A hall.\n"


def test_the_system_message_says_what_can_be_done_and_how_to_answer(format):
    text = format.system(history(tools=[SEARCH]).opened)
    assert text.startswith("Get out.")
    assert '"name":"search"' in text
    assert text.endswith(format.rule)
    assert "Tools" not in format.system(history().opened)


@pytest.mark.parametrize("name", plugins.names("agents.formats"))
def test_every_format_is_found_by_its_name(name):
    assert plugins.load("agents.formats", name, Format)().rule
