"""Lessons of what was played: by rules, by an endpoint that is really served, by the policy itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from endpoint import Script, served
from tagged import told

from agents.types import Episode, Message, StopReason
from skills_db.types import NewExperience
from trainers import completions
from trainers.completions import Unanswered
from trainers.distillers.base import Lessons
from trainers.distillers.llm import Llm, LlmConfig
from trainers.distillers.rules import Rules, RulesConfig

WON = told(
    ("", "open door", "Nothing happens."),
    ("", "go east", "A shed. A key."),
    ("", "wait", "A shed. A key."),
    ("", "take key", "You hold the key."),
    ("", "open door", "You are out."),
    opening="A yard.",
    rewards=[0.0, 0.0, 0.0, 0.0, 1.0],
    success=True,
)
LOST = told(
    ("", "go east", "A shed."),
    ("", "", ""),
    ("", "go west", "A yard."),
    ("", "go east", "A shed."),
    ("", "open door", "Nothing happens."),
    ("", "go west", "A yard."),
    ("", "cut wire", "It was live.\nYou are dead."),
    opening="A yard.",
)


async def silent(messages: Sequence[Message], temperature: float, max_tokens: int) -> str:
    raise AssertionError("nobody is to be asked")


async def by_rules(won: list[Episode], lost: list[Episode], **settings: Any) -> list[Lessons]:
    return await Rules(RulesConfig(**{"where_chars": 0, **settings}), silent).lessons(won, lost)


def said(lessons: Lessons) -> list[tuple[str, str, str, int | None]]:
    return [(one.level, one.situation, one.advice, one.turn) for one in lessons]


async def test_a_winner_teaches_its_plan_and_what_it_did_where() -> None:
    [lessons] = await by_rules([replace(WON, id="e1")], [])
    assert said(lessons) == [
        ("principle", "A yard.", "1. take key 2. open door", 0),
        ("method", "A shed. A key.", "take key", 3),
        ("method", "You hold the key.", "open door", 4),
    ]
    assert {(one.kind, one.score, one.episode, one.env) for one in lessons} == {("skill", 1.0, "e1", "keydoor")}


async def test_a_loser_teaches_its_end_what_was_refused_and_where_it_went_in_circles() -> None:
    [lessons] = await by_rules([], [LOST])
    assert said(lessons) == [
        ("diagnostic", "A yard.", "cut wire: It was live.", 6),
        ("pattern", "A yard.", "go east again: A shed.", 3),
        ("mistake", "A shed.", "open door: Nothing happens.", 4),
    ]
    assert {(one.kind, one.score, one.episode) for one in lessons} == {("failure", 0.0, None)}


async def test_where_time_is_up_the_last_command_is_no_mistake() -> None:
    [lessons] = await by_rules([], [replace(told(("", "wait", "A yard, later.")), stop=StopReason.TRUNCATED)])
    assert lessons == []


async def test_what_the_world_said_is_cut() -> None:
    [lessons] = await by_rules([], [LOST], answer_chars=4)
    assert lessons[0].advice == "cut wire: It w"


async def test_a_lesson_begins_with_where_it_holds() -> None:
    [lessons] = await by_rules([WON], [], where_chars=6)
    assert [one.advice for one in lessons] == [
        "A yard > 1. take key 2. open door",
        "A shed > take key",
        "You ho > open door",
    ]


async def test_an_episode_without_turns_teaches_nothing() -> None:
    empty = replace(WON, turns=[])
    assert await by_rules([empty], [empty]) == [[], []]
    assert await Llm(LlmConfig(), silent).lessons([empty], [empty]) == [[], []]


GOOD = [{"turn": 4, "level": "method", "advice": "Take the key\nfirst."}]
TAKEN = [("method", "A shed. A key.", "Take the key first.", 3)]


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(completions, "PAUSE_S", 0.0)
    with served() as found:
        yield found


def by_endpoint(script: Script, **settings: Any) -> Llm:
    return Llm(LlmConfig(url=script.url, model="big", **settings), silent)


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Here: {} as asked."])
async def test_an_endpoints_lessons_name_the_turn_they_are_for(script: Script, around: str) -> None:
    script.answers = [(200, around.replace("{}", json.dumps(GOOD)))]
    [lessons] = await by_endpoint(script).lessons([WON], [])
    assert said(lessons) == TAKEN
    assert {(one.kind, one.score) for one in lessons} == {("skill", 1.0)}
    [asked] = script.asked
    assert asked["model"] == "big"
    system, episode = (message["content"] for message in asked["messages"])
    assert "went well" in system
    assert episode.startswith('The world: Get out.\n\nTurn 1\nSeen: A yard.\nDone: "open door"')
    assert episode.endswith("At last: You are out.\n\nReturn: 1. Solved: yes.")


async def test_of_a_loser_warnings_are_asked_for(script: Script) -> None:
    script.answers = [(200, json.dumps([{"turn": 7, "level": "mistake", "advice": "Leave the wire."}]))]
    [lessons] = await by_endpoint(script).lessons([], [LOST])
    assert [(one.kind, one.situation, one.advice) for one in lessons] == [("failure", "A yard.", "Leave the wire.")]
    assert "went badly" in script.asked[0]["messages"][0]["content"]
    assert "an answer that cannot be read" in script.asked[0]["messages"][1]["content"]


@pytest.mark.parametrize(
    "answer",
    [
        "I am sorry.",
        "",
        "[" * 100_000,
        json.dumps({"lessons": GOOD}) + "]",
        json.dumps([{**GOOD[0], "turn": 0}]),
        json.dumps([{**GOOD[0], "turn": 6}]),
        json.dumps([{**GOOD[0], "turn": "soon"}]),
        json.dumps([{**GOOD[0], "turn": float("inf")}]),
        json.dumps([{**GOOD[0], "level": "mistake"}]),
        json.dumps([{**GOOD[0], "advice": " "}]),
        json.dumps([{**GOOD[0], "advice": "x" * 201}]),
        json.dumps([{"advice": "Take it."}]),
    ],
)
async def test_what_is_no_list_of_lessons_is_asked_for_again_and_then_left_out(script: Script, answer: str) -> None:
    script.answers = [(200, answer)]
    assert await by_endpoint(script, tries=2).lessons([WON], []) == [[]]
    assert [asked["temperature"] for asked in script.asked] == [0.0, 0.3]
    script.answers = [(200, answer), (200, json.dumps(GOOD))]
    [lessons] = await by_endpoint(script).lessons([WON], [])
    assert said(lessons) == TAKEN


async def test_no_lesson_is_an_answer_and_too_many_are_cut(script: Script) -> None:
    script.answers = [(200, "[]")]
    assert await by_endpoint(script).lessons([WON], []) == [[]]
    assert len(script.asked) == 1
    script.answers = [(200, json.dumps(GOOD * 5))]
    [lessons] = await by_endpoint(script, lessons=2).lessons([WON], [])
    assert len(lessons) == 2


@pytest.mark.parametrize("answer", [(401, {"error": "no key"}), (500, {"error": "broken"}), (200, None)])
async def test_an_endpoint_that_cannot_be_used_is_said_in_a_sentence(script: Script, answer: Any) -> None:
    script.answers = [answer]
    with pytest.raises(Unanswered, match=script.url):
        await by_endpoint(script).lessons([WON, WON], [LOST])


async def test_an_address_that_answers_nothing_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "PAUSE_S", 0.0)
    with pytest.raises(Unanswered, match=r"memory\.distiller\.url"):
        await Llm(LlmConfig(url="http://127.0.0.1:9/v1"), silent).lessons([WON], [])


async def test_no_more_are_asked_at_once_than_is_said(script: Script) -> None:
    script.answers, script.wait_s = [(200, "[]")], 0.01
    await by_endpoint(script, concurrency=2).lessons([WON] * 6, [])
    assert script.most == 2


async def test_a_refusal_is_no_situation() -> None:
    # What was done right after the refusal is part of the plan, but nothing that looks like it will be seen again.
    [lessons] = await by_rules([WON], [])
    assert "go east" not in [one.advice for one in lessons]
    [lessons] = await by_rules([], [told(("", "open door", "Nothing happens."), ("", "kick door", "Nothing happens."))])
    assert [one.turn for one in lessons] == [0]


async def test_without_an_address_the_policy_itself_is_asked() -> None:
    asked: list[tuple[str, float, int]] = []

    async def ask(messages: Sequence[Message], temperature: float, max_tokens: int) -> str:
        asked.append((messages[0]["role"], temperature, max_tokens))
        return json.dumps(GOOD)

    [lessons] = await Llm(LlmConfig(max_tokens=99), ask).lessons([WON], [])
    assert said(lessons) == TAKEN
    assert asked == [("system", 0.0, 99)]
    assert all(isinstance(one, NewExperience) for one in lessons)
