"""A call that is written is read back in both styles; what is no call is a complaint that says why."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from agents.formats.base import spoken
from agents.formats.toolcall import Toolcall, ToolcallConfig
from agents.types import History
from envserver.schema import Action, Observation, Opened, StepResult, Task, ToolSpec

STYLES = ("json", "compact")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**15), 10**15) | st.floats(-1e9, 1e9) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def spec(name: str, **types: str) -> ToolSpec:
    properties = {key: {"type": kind} for key, kind in types.items()}
    return ToolSpec(name=name, description=f"To {name}.", parameters={"type": "object", "properties": properties})


TOOLS = [
    spec("look", bin="integer"),
    spec("move", bin="integer", to="string", all="boolean"),
    spec("say", words="string"),
]
TOOLS += [spec("stop"), ToolSpec(name="odd", description="Untyped.", parameters={"type": "object"})]


def history(tools=tuple(TOOLS)) -> History:
    result = StepResult(observation=Observation(text="Bins."))
    task = Task(env="tooluse", key="inventory/h12-d1/train/0000")
    return History(task, Opened(session="s", instructions="Count.", tools=list(tools), result=result))


def of(style: str) -> Toolcall:
    return Toolcall(ToolcallConfig(style=style))


def call(tool: str, **arguments) -> Action:
    return Action(tool=tool, arguments=arguments)


@pytest.mark.parametrize("style", STYLES)
@given(name=st.sampled_from([tool.name for tool in TOOLS]), data=st.data())
def test_whatever_call_is_written_is_read_back(style, name, data):
    known = [key for tool in TOOLS if tool.name == name for key in tool.parameters.get("properties", {})]
    keys = st.sampled_from(known) if known else st.text(max_size=4)
    action = Action(tool=name, arguments=data.draw(st.dictionaries(keys | st.text(max_size=4), JSON, max_size=3)))
    line = of(style).write(action, history())
    assert "\n" not in line
    read = of(style).parse(line, history()).action
    assert read is not None
    assert read.tool == name
    # As JSON, for Python holds 1, 1.0 and True for the same; the order of arguments says nothing.
    assert json.dumps(read.arguments, sort_keys=True) == json.dumps(action.arguments, sort_keys=True)


@pytest.mark.parametrize("style", STYLES)
@given(text=st.text())
def test_any_answer_is_an_action_or_a_complaint(style, text):
    for tools in (TOOLS, []):
        reply = of(style).parse(text, history(tools))
        assert (reply.action is None) == bool(reply.complaint)


@pytest.mark.parametrize(
    ("line", "action"),
    [
        ("look 3", call("look", bin=3)),
        ("  look   3  \nor so", call("look", bin=3)),
        ("look -12", call("look", bin=-12)),
        ("look 1.5", call("look", bin=1.5)),
        ("look three", call("look", bin="three")),
        ("look 007", call("look", bin="007")),
        ("look", call("look")),
        ("stop", call("stop")),
        ("move 1 left true", call("move", bin=1, to="left", all=True)),
        ('move 1 "far left" false', call("move", bin=1, to="far left", all=False)),
        ("move 1 2", call("move", bin=1, to="2")),
        ("say all of this", call("say", words="all of this")),
        ("look [1,2]", call("look", bin=[1, 2])),
        ('{"tool": "look", "arguments": {"bin": 3, "more": 1}}', call("look", bin=3, more=1)),
    ],
)
def test_a_line_is_a_name_and_values_in_the_order_of_the_schema(line, action):
    reply = of("compact").parse(line, history())
    assert spoken(reply.action or Action(text=reply.complaint)) == spoken(action)


def test_a_call_is_written_as_shortly_as_it_can_be_read():
    format, now = of("compact"), history()
    assert format.write(call("look", bin=3), now) == "look 3"
    assert format.write(call("stop"), now) == "stop"
    assert format.write(call("move", bin=1, to="far left", all=True), now) == 'move 1 "far left" true'
    assert format.write(call("say", words="all of this"), now) == "say all of this"
    assert format.write(call("say", words=""), now) == 'say ""'
    assert format.write(call("move", all=True, to="left", bin=1), now) == "move 1 left true"
    assert format.write(call("move", to="left"), now) == '{"tool": "move", "arguments": {"to": "left"}}'
    assert format.write(call("fly", high=1), now) == '{"tool": "fly", "arguments": {"high": 1}}'


@pytest.mark.parametrize(
    ("style", "text", "why"),
    [
        ("compact", "fly 3", "there is no tool 'fly'; there are: look, move, say, stop, odd"),
        ("compact", "look 3 4", "look takes 1 value, and there is more: '4'"),
        ("compact", "stop it", "stop takes 0 values"),
        ("compact", "look [1", "cannot be read"),
        ("compact", 'look "a"b', "a blank is missing"),
        ("compact", " \n ", "The answer is empty"),
        ("json", "", "The answer is empty"),
        ("json", "look 3", "cannot be read"),
        ("json", '{"tool": 3}', "it names no tool"),
        ("json", "[1]", "it names no tool"),
        ("json", '{"tool": "look", "more": {}}', "Extra inputs are not permitted"),
        ("json", '{"tool": "look", "arguments": {"bin": NaN}}', "NaN is no JSON number"),
        ("json", '{"a":' * 99_999 + "}", "cannot be read"),
    ],
)
def test_what_is_no_call_is_a_complaint_that_says_why(style, text, why):
    reply = of(style).parse(text, history())
    assert reply.action is None
    assert why in reply.complaint
    assert len(reply.complaint) < 300


@pytest.mark.parametrize(
    "text",
    [
        '{"tool": "look", "arguments": {"bin": 3}}',
        'I will look.\n```json\n{\n  "tool": "look",\n  "arguments": {"bin": 3}\n}\n```\nThen I go on.',
        '<tool_call>{"tool": "look", "arguments": {"bin": 3}}</tool_call>',
    ],
)
def test_json_may_stand_among_other_words(text):
    assert of("json").parse(text, history()).action == call("look", bin=3)


def test_the_world_judges_what_can_be_said():
    assert of("json").parse('{"tool": "fly", "arguments": {}}', history()).action == call("fly")
    assert of("json").parse('{"tool": "look"}', history()).action == call("look")


def test_the_system_message_lists_the_tools_in_the_style_of_the_answer():
    compact, plain = of("compact").system(history().opened), of("json").system(history().opened)
    assert compact.startswith(
        "Count.\n\nTools:\nlook bin:integer - To look.\nmove bin:integer to:string all:boolean - To"
    )
    assert compact.endswith(of("compact").rule)
    assert '{"name":"look"' in plain
    assert plain.endswith(of("json").rule)


@pytest.mark.parametrize("style", STYLES)
def test_a_world_without_tools_is_played_by_commands(style):
    format, now = of(style), history([])
    assert format.parse("go east\n", now).action == Action(text="go east")
    assert format.write(Action(text="go east"), now) == "go east"
    assert format.system(now.opened) == "Count.\n\nAnswer with one command and nothing else."


@pytest.mark.parametrize("style", STYLES)
def test_a_text_is_no_call(style):
    with pytest.raises(ValueError, match="only call tools, not say 'go east'"):
        of(style).write(Action(text="go east"), history())


def test_an_unknown_style_is_refused():
    with pytest.raises(ValidationError):
        ToolcallConfig(style="yaml")
