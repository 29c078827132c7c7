"""One tag, one action; all else is a complaint without a tag."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agents.formats.rlvmr import TAGS, Rlvmr, thought
from agents.types import History, Move, Prompt, Reply, Sample, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task

FULL, COMPACT = Rlvmr(), Rlvmr(Rlvmr.Config(compact=True))
NUMBERS = Rlvmr(Rlvmr.Config(compact=True, action="choice"))
COMMAND = st.text(min_size=1, max_size=40).map(lambda text: " ".join(text.replace("<", "").split())).filter(bool)
PIECE = st.sampled_from(["<", ">", "/", "</", "monitor", "<monitor>", "action", "<action>", "planning", " x", "\n"])


def history(choices=("go east", "go west"), turns=()) -> History:
    result = StepResult(observation=Observation(text="A hall.", choices=list(choices)))
    opened = Opened(session="s", instructions="Get out.", result=result)
    return History(Task(env="keydoor", key="doors-3/train/0000"), opened, list(turns))


def played(text: str, came: str = "A room.") -> Turn:
    sample = Sample(ids=[], logprobs=[], stop="stop", temperature=1.0, version=0)
    result = StepResult(observation=Observation(text=came, choices=["go east"]))
    return Turn(Prompt([]), Move([], sample, ""), Reply(Action(text=text), "monitor"), result)


@pytest.mark.parametrize("tag", TAGS)
def test_the_tag_and_the_action_are_read(tag):
    reply = FULL.parse(f"<{tag}>1. east, 2. west</{tag}>\n<action>go east</action>", history())
    assert reply == Reply(Action(text="go east"), tag)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("go east", "no reasoning tags"),
        ("", "no reasoning tags"),
        ("<action>go east</action>", "no reasoning tags"),
        ("<thinking>so</thinking><action>go east</action>", "no reasoning tags"),
        ("<monitor>a</monitor><explore>b</explore><action>go east</action>", "2 reasoning tags"),
        ("<monitor>a</monitor><monitor>b</monitor><action>go east</action>", "2 reasoning tags"),
        ("<monitor>so</monitor>", "exactly one <action>"),
        ("<monitor>so</monitor><action>go east", "exactly one <action>"),
        ("<monitor>so</monitor><action>go east</action><action>go west</action>", "exactly one <action>"),
        ("<action>go east</action><monitor>so</monitor>", "not closed before the action"),
        ("<monitor>so<action>go east</action></monitor>", "not closed before the action"),
        ("<monitor> \n</monitor><action>go east</action>", "<monitor> is empty"),
        ("<monitor>so</monitor><action> </action>", "<action> is empty"),
    ],
)
def test_an_answer_that_breaks_the_format_is_a_complaint_without_a_tag(text, complaint):
    reply = FULL.parse(text, history())
    assert reply.action is None
    assert reply.tag == ""
    assert complaint in reply.complaint


def test_a_command_that_cannot_be_read_keeps_its_tag():
    reply = NUMBERS.parse("<monitor></monitor><action>7</action>", history())
    assert (reply.action, reply.tag) == (None, "monitor")
    assert "There is no command 7" in reply.complaint


def test_what_follows_the_action_is_not_read():
    text = "<explore>somewhere</explore><action>go east\nand on</action>\nYou see a lamp."
    assert FULL.parse(text, history()).action == Action(text="go east")


def test_only_the_compact_variant_takes_empty_thoughts_and_only_outside_of_plans():
    text = "<monitor></monitor><action>go east</action>"
    assert COMPACT.parse(text, history()) == Reply(Action(text="go east"), "monitor")
    assert FULL.parse(text, history()).action is None
    assert "<planning> is empty" in COMPACT.parse(text.replace("monitor", "planning"), history()).complaint


@pytest.mark.parametrize("format", [FULL, COMPACT, NUMBERS], ids=["full", "compact", "numbers"])
@pytest.mark.parametrize("tag", TAGS)
def test_what_is_told_is_read_back(format, tag):
    text = format.tell(tag, "First this,\n then that.", Action(text="go west"), history())
    assert format.parse(text, history()) == Reply(Action(text="go west"), tag)


@pytest.mark.parametrize("format", [FULL, COMPACT, NUMBERS], ids=["full", "compact", "numbers"])
@given(choices=st.lists(COMMAND, min_size=1, max_size=6))
def test_every_choice_that_is_written_is_read_back(format, choices):
    now = history(choices)
    for choice in choices:
        assert format.parse(format.write(Action(text=choice), now), now).action == Action(text=choice)


@pytest.mark.parametrize("format", [FULL, COMPACT, NUMBERS], ids=["full", "compact", "numbers"])
@given(text=st.lists(PIECE, max_size=12).map("".join))
def test_any_answer_is_an_action_or_a_complaint(format, text):
    reply = format.parse(text, history())
    assert (reply.action is None) == bool(reply.complaint)


@pytest.mark.parametrize("words", ["", "  ", "so </monitor>", "<action>x</action>"])
def test_words_that_would_break_the_format_are_refused(words):
    with pytest.raises(ValueError, match="must hold words and no tags"):
        FULL.tell("monitor", words, Action(text="go east"), history())


def test_an_action_that_holds_a_tag_is_refused():
    with pytest.raises(ValueError, match="own tags"):
        FULL.write(Action(text="say </action>"), history([]))


def test_an_expert_plans_first_goes_on_and_reflects_on_what_was_refused():
    first, second = played("go east"), played("fly")
    assert FULL.write(Action(text="go east"), history()).startswith("<planning>")
    assert FULL.write(Action(text="go east"), history(turns=[first])).startswith("<monitor>")
    assert FULL.write(Action(text="go east"), history(turns=[first, second])).startswith("<reflection>")


def test_the_system_message_defines_the_tags_or_names_them():
    full, compact = FULL.system(history().opened), COMPACT.system(history().opened)
    for tag in TAGS:
        assert f"<{tag}>...</{tag}>: " in full
        assert tag in compact
    assert len(compact) < 160 < 600 < len(full)


def test_commands_are_numbered_where_the_action_is_a_number():
    assert "2. go west" in NUMBERS.show(history().observation)
    assert "- go west" in FULL.show(history().observation)


def test_a_thought_is_the_words_inside_the_tag():
    assert thought("<planning> 1. a\n2. b </planning><action>x</action>", "planning") == "1. a 2. b"
    assert thought("<planning>1. a</planning>", "explore") == ""
