"""One code block is an action; none, two, an open or an empty one are complaints that say so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.formats.code import Code
from agents.types import History
from envserver.envs._kernel import lint
from envserver.schema import Action, Observation, Opened, StepResult, Task

HISTORY = History(
    Task(env="kernel", key="suite/level1/relu"),
    Opened(session="s", instructions="Faster.", result=StepResult(observation=Observation(text="class Model: ..."))),
)
ONE = "```python\nx = 1\n```"


def parse(text):
    return Code().parse(text, HISTORY)


def test_the_block_is_played_and_the_words_around_it_are_not():
    assert parse(f"I fuse both loops.\n\n{ONE}\nThat is it.").action == Action(text=ONE)


def test_the_world_reads_in_it_what_was_written():
    assert lint.block(parse(f"So:\n{ONE}").action.text) == "x = 1\n"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = 1", "no code block"),
        ("", "no code block"),
        ("use ``` for fences, such as ```python x```", "no code block"),
        (f"{ONE}\nor\n{ONE}", "2 code blocks"),
        ("```python\nx = 1", "never closed"),
        (f"{ONE}\n```cpp\nint x;", "never closed"),
        ("```python\n\n   \n```", "empty"),
        (f"```\n{'x' * (1 << 20)}\n```", "cannot be read"),
    ],
)
def test_what_is_not_one_block_is_a_complaint(text, says):
    reply = parse(text)
    assert reply.action is None
    assert says in reply.complaint


@pytest.mark.parametrize(
    "block", [ONE, "```\nx = 1\n```", "```cpp\nint x;\n\n```", "```python\nif x:\n    y = '```'\n```"]
)
def test_what_is_written_is_read_back(block):
    action = Action(text=block)
    assert parse(f"Well.\n{Code().write(action, HISTORY)}").action == action


@pytest.mark.parametrize(
    "action", [Action(text="go"), Action(tool="submit", arguments={"code": "x"}), Action(text=f"{ONE}\n{ONE}")]
)
def test_what_is_no_block_cannot_be_written(action):
    with pytest.raises(ValueError, match="one code block"):
        Code().write(action, HISTORY)


@given(text=st.text(alphabet=st.sampled_from("`~x \n\r\tpython"), max_size=60))
def test_any_answer_is_an_action_or_a_complaint(text):
    reply = parse(text)
    assert (reply.action is None) == bool(reply.complaint)


def test_a_long_answer_of_open_fences_is_read_at_once():
    assert parse("```a\n" * 200_000).action is None
