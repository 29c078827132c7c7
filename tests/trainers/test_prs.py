"""Stages of reward that unlock in order, worked out by hand."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agents.types import Episode, Move, Prompt, Reply, Sample, StopReason, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task, ToolSpec
from trainers.plugged import BadConfig, plugged
from trainers.shapers.prs import Prs

LOOK = ToolSpec(
    name="look",
    description="Look.",
    parameters={"type": "object", "properties": {"bin": {"type": "integer"}}, "required": ["bin"]},
)
DONE = ToolSpec(name="done", description="Answer.", parameters={"type": "object", "properties": {"answer": {}}})
SAMPLE = Sample(ids=[2], logprobs=[-1.0], stop="stop", temperature=1.0, version=0)
GOOD = Action(tool="look", arguments={"bin": 3})
WRONG_TYPE = Action(tool="look", arguments={"bin": "three"})
NO_TOOL = Action(tool="jump")


def played(*actions: Action | None, reward: float = 0.0, stop: StopReason = StopReason.DONE) -> Episode:
    """One turn an action, None for an answer that cannot be read; the last one ends it with `reward`."""
    turns = []
    for index, action in enumerate(actions):
        last = index == len(actions) - 1 and stop is StopReason.DONE
        result = StepResult(
            observation=Observation(text="."),
            reward=reward if last else 0.0,
            terminated=last,
            success=reward > 0 if last else None,
        )
        reply = Reply(action, complaint="" if action else "It cannot be read.")
        turns.append(Turn(Prompt([]), Move([1], SAMPLE, "x"), reply, result if action else None))
    first = StepResult(observation=Observation(text="Where is it?"))
    opened = Opened(session="s", instructions="", tools=[LOOK, DONE], result=first)
    return Episode(Task(env="tooluse", key="k0"), turns, stop, opened=opened)


def answer(text: str) -> Action:
    return Action(tool="done", arguments={"answer": text})


def earned(episode: Episode, **settings: object) -> list[float]:
    return Prs(Prs.Config(**settings)).shape(episode, episode.rewards)


@pytest.mark.parametrize(
    ("actions", "reward", "returns"),
    [
        ([None, None], 0.0, 0.0),
        ([GOOD, None, None, None], 0.0, 0.025),  # a quarter can be read: 0.1 / 4, the next stage is locked
        ([NO_TOOL, WRONG_TYPE], 0.0, 0.1),  # all can be read, none is valid
        ([GOOD, WRONG_TYPE], 0.0, 0.15),  # 0.1 + 0.1 / 2
        ([GOOD, answer("x")], 0.0, 0.2),
        ([GOOD, answer("x")], 1.0, 1.0),  # 0.1 + 0.1 + 0.8
        ([NO_TOOL, NO_TOOL, NO_TOOL, answer("x")], 1.0, 0.125),  # a quarter is valid: 0.1 + 0.1 / 4, the answer locked
        ([None, GOOD, answer("x"), answer("x")], 1.0, 0.95),  # 0.075 + 0.075 + 0.8
    ],
)
def test_a_stage_counts_once_the_one_before_is_passed(
    actions: list[Action | None], reward: float, returns: float
) -> None:
    assert sum(earned(played(*actions, reward=reward))) == pytest.approx(returns)


def test_a_turn_earns_its_own_part() -> None:
    # Thirds of 0.1 each; the last also the world's 1 at 0.8.
    found = earned(played(GOOD, WRONG_TYPE, answer("x"), reward=1.0))
    assert found == pytest.approx([0.2 / 3, 0.1 / 3, 0.2 / 3 + 0.8])


def test_the_share_that_unlocks_can_be_told() -> None:
    episode = played(GOOD, WRONG_TYPE, WRONG_TYPE, answer("x"), reward=1.0)  # half are valid
    assert sum(earned(episode, unlock=0.5)) == pytest.approx(0.1 + 0.05 + 0.8)
    assert sum(earned(episode, unlock=0.6)) == pytest.approx(0.1 + 0.05)
    assert sum(earned(played(None, None, answer("x"), reward=1.0), unlock=0)) == pytest.approx(0.2 / 3 + 0.8)


def test_weights_are_shares() -> None:
    best = played(GOOD, answer("x"), reward=1.0)
    assert sum(earned(best, parse=1, valid=1, answer=2)) == pytest.approx(1.0)
    assert sum(earned(played(GOOD, answer("x")), parse=1, valid=1, answer=2)) == pytest.approx(0.5)


def test_a_refused_call_is_not_valid_though_its_schema_allows_it() -> None:
    episode = played(GOOD, answer("x"))
    first = episode.turns[0]
    assert first.result is not None
    refused = first.result.model_copy(update={"observation": Observation(text="You can't look there.")})
    episode.turns[0] = Turn(first.prompt, first.move, first.reply, refused)
    assert sum(earned(episode)) == pytest.approx(0.1 + 0.05)


def test_a_summary_is_no_call_and_an_empty_episode_earns_nothing() -> None:
    episode = played(None, GOOD, answer("x"))
    first = episode.turns[0]
    episode.turns[0] = Turn(Prompt([], kind="summary"), first.move, first.reply, None)
    assert earned(episode) == pytest.approx([0.0, 0.1, 0.1])
    assert earned(Episode(episode.task, [], StopReason.RESIGNED)) == []


def references(directory: Path, *lines: str) -> Path:
    path = directory / "answers.jsonl"
    path.write_text("\n".join(lines))
    return path


def test_a_short_answer_earns_how_near_it_is_to_a_right_one(tmp_path: Path) -> None:
    file = references(tmp_path, '{"key": "k0", "answers": ["Paris"], "id": 7}', "", '{"key": "k1", "answers": ["x"]}')
    settings = {"form": "short", "references": file, "parse": 1, "valid": 1, "answer": 6, "quality": 2}
    right = played(GOOD, answer("in Paris"), reward=1.0)  # the world takes it; BLEU 1/2
    assert sum(earned(right, **settings)) == pytest.approx(0.1 + 0.1 + 0.6 + 0.2 / 2)
    near = played(GOOD, answer("in Paris"))
    assert sum(earned(near, **settings)) == pytest.approx(0.2)  # the last stage is locked
    assert sum(earned(near, **settings, quality_after="answer")) == pytest.approx(0.2 + 0.1)
    silent = played(GOOD, GOOD, stop=StopReason.MAX_TURNS)
    assert sum(earned(silent, **settings, quality_after="answer")) == pytest.approx(0.2)


def test_references_that_are_missing_or_broken_are_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="give references = a JSONL file"):
        Prs.Config(form="short")
    with pytest.raises(BadConfig, match="cannot be read"):
        Prs(Prs.Config(form="short", references=tmp_path / "none"))
    with pytest.raises(BadConfig, match=r"line 1 of .* is no reference answer"):
        Prs(Prs.Config(form="short", references=references(tmp_path, "{}")))
    file = references(tmp_path, '{"key": "k9", "answers": ["Paris"]}')
    with pytest.raises(ValueError, match="has no answer to task 'k0'; add a line"):
        earned(played(answer("Paris"), reward=1.0), form="short", references=file)


class Scripted:
    """A judge that says what it is told to, and keeps what it was asked."""

    def __init__(self, grade: float) -> None:
        self.said, self.asked = grade, list[tuple[str, str, list[str]]]()

    async def grade(self, question: str, answer: str, references: list[str]) -> float:
        self.asked.append((question, answer, references))
        return self.said


async def test_a_long_answer_earns_its_grade() -> None:
    judge = Scripted(0.5)
    shaper = Prs(Prs.Config(form="long", parse=1, valid=1, answer=6, quality=2), judge)
    episode = played(GOOD, answer("In Paris, as of old."), reward=1.0)
    assert sum(await shaper.shaped(episode, episode.rewards)) == pytest.approx(0.1 + 0.1 + 0.6 + 0.1)
    assert judge.asked == [("Where is it?", "In Paris, as of old.", [])]


async def test_nobody_is_asked_about_an_answer_whose_stage_is_locked() -> None:
    judge = Scripted(1.0)
    shaper = Prs(Prs.Config(form="long"), judge)
    for episode in (
        played(GOOD, answer("x")),
        played(None, None, None, answer("x"), reward=1.0),
        played(GOOD, GOOD, stop=StopReason.MAX_TURNS),
    ):
        await shaper.shaped(episode, episode.rewards)
    assert judge.asked == []


@pytest.mark.parametrize("missing", ["sacrebleu", "jsonschema"])
def test_without_its_extra_it_says_what_to_install(missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(sys.modules):
        if name in ("trainers.shapers.prs", "trainers.bleu") or name.startswith(f"{missing}."):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    with pytest.raises(BadConfig, match=r"shaper 'prs' needs its extra: pip install 'turnhalle\[prs\]'"):
        plugged("trainers.shapers", "Shaper")("prs")
