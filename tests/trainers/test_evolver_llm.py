"""Skills by a language model: an endpoint that is really served, or the policy itself."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest
from endpoint import Script, served
from tagged import told

from agents.types import Message
from skills_db.types import NewSkill, SkillRow
from trainers import completions
from trainers.completions import Unanswered
from trainers.evolvers.llm import Llm, LlmConfig

TRAPPED = replace(told(("", "open red door", "Nothing happens."), ("", "open blue door", "A trap.")), id="e1")
LOST = replace(told(("", "go east", "A shed."), ("", "", ""), opening="A yard."), id="e2")
GOOD = {
    "name": "read-the-way-out",
    "description": "When several\ndoors are shut.",
    "content": "# Read first\n\n1. Read which door is the way out.\n\n**Anti-pattern**: opening doors in turn.",
    "category": "keydoor",
    "episode": 1,
    "turn": 2,
}
SKILL = NewSkill(
    name="read-the-way-out",
    description="When several doors are shut.",
    body=str(GOOD["content"]),
    category="keydoor",
    episode="e1",
    turn=1,
)


async def silent(messages: Sequence[Message], temperature: float, max_tokens: int) -> str:
    raise AssertionError("nobody is to be asked")


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Iterator[Script]:
    monkeypatch.setattr(completions, "PAUSE_S", 0.0)
    with served() as found:
        yield found


def by_endpoint(script: Script, **settings: Any) -> Llm:
    return Llm(LlmConfig(url=script.url, model="big", **settings), silent)


def known(*names: str) -> list[SkillRow]:
    return [SkillRow(name, "general", "Something.", "2026-01-01", None, 1) for name in names]


@pytest.mark.parametrize("around", ["{}", "```json\n{}\n```", "Here: {} as asked."])
async def test_a_skill_names_the_episode_and_the_turn_that_taught_it(script: Script, around: str) -> None:
    script.answers = [
        (200, around.replace("{}", json.dumps([GOOD, {**GOOD, "name": "b", "episode": 2, "turn": None}])))
    ]
    first, second = await by_endpoint(script).skills([TRAPPED, LOST], [])
    assert first == SKILL
    assert (second.name, second.episode, second.turn) == ("b", "e2", None)


async def test_the_model_is_shown_the_failures_the_names_that_are_taken_and_the_categories(script: Script) -> None:
    script.answers = [(200, "[]")]
    assert await by_endpoint(script).skills([TRAPPED, LOST], known("look-around", "a-b")) == []
    [asked] = script.asked
    system, user = (message["content"] for message in asked["messages"])
    assert "1 to 3 skills" in system
    assert "one of keydoor, general, common_mistakes, coding," in system
    assert user == (
        "Episode 1, keydoor. Return: 0.\n"
        "The world: Get out.\n"
        'Turn 1\nSeen: A hall.\nSaid: "<>so</><action>open red door</action>"\n'
        'Turn 2\nSeen: Nothing happens.\nSaid: "<>so</><action>open blue door</action>"\n'
        "At last: A trap.\n\n"
        "Episode 2, keydoor. Return: 0.\n"
        "The world: Get out.\n"
        'Turn 1\nSeen: A yard.\nSaid: "<>so</><action>go east</action>"\n'
        'Turn 2\nSeen: A shed.\nSaid: "<>so</><action></action>"\n'
        "At last: The answer cannot be read.\n\n"
        "Skills there are: a-b, look-around."
    )


async def test_of_very_many_skills_the_names_for_these_worlds_are_told_first(script: Script) -> None:
    script.answers = [(200, "[]")]
    own = replace(known("z-own")[0], category="keydoor")
    await by_endpoint(script).skills([TRAPPED], [*known(*(f"a-{number}" for number in range(300))), own])
    names = script.asked[0]["messages"][1]["content"].rpartition("Skills there are: ")[2].rstrip(".").split(", ")
    assert len(names) == 200
    assert names[-1] == "z-own"


async def test_of_a_long_episode_the_end_is_shown(script: Script) -> None:
    script.answers = [(200, "[]")]
    long = told(*[("", f"go {index}", f"Room {index}.{'x' * 50}") for index in range(9)])
    await by_endpoint(script, turns=2, seen_chars=7, said_chars=5).skills([long], [])
    user = script.asked[0]["messages"][1]["content"]
    assert "Turn 7" not in user
    assert 'Turn 8\nSeen: xxxxxxx\nSaid: "<>so<"\nTurn 9' in user


@pytest.mark.parametrize("name", ["Read First", "-x", "", "a" * 65, "007"])
async def test_what_is_no_slug_gets_a_number_that_is_free(script: Script, name: str) -> None:
    script.answers = [(200, json.dumps([{**GOOD, "name": name}, {**GOOD, "name": "dyn-003"}, {**GOOD, "name": name}]))]
    found = await by_endpoint(script).skills([TRAPPED], known("dyn-001"))
    assert [one.name for one in found] == ["dyn-002", "dyn-003", "dyn-004"]


async def test_an_unknown_category_is_general_and_too_many_skills_are_cut(script: Script) -> None:
    script.answers = [(200, json.dumps([{**GOOD, "category": "cooking"}] * 5))]
    found = await by_endpoint(script, skills=2).skills([TRAPPED], [])
    assert [one.category for one in found] == ["general", "general"]


@pytest.mark.parametrize(
    "answer",
    [
        "I am sorry.",
        "",
        "[" * 100_000,
        json.dumps({"skills": [GOOD]}) + "]",
        json.dumps([{**GOOD, "episode": 0}]),
        json.dumps([{**GOOD, "episode": 3}]),
        json.dumps([{**GOOD, "episode": "the first"}]),
        json.dumps([{**GOOD, "turn": 3}]),
        json.dumps([{**GOOD, "turn": 0}]),
        json.dumps([{**GOOD, "description": " "}]),
        json.dumps([{**GOOD, "description": "x" * 301}]),
        json.dumps([{**GOOD, "content": "\n"}]),
        json.dumps([{**GOOD, "content": "x" * 2001}]),
        json.dumps([{**GOOD, "content": 7}]),
        json.dumps([GOOD, {"name": "b"}]),
    ],
)
async def test_what_is_no_list_of_skills_is_asked_for_again_and_then_left_out(script: Script, answer: str) -> None:
    script.answers = [(200, answer)]
    assert await by_endpoint(script, tries=2).skills([TRAPPED, LOST], []) == []
    assert [asked["temperature"] for asked in script.asked] == [0.0, 0.3]
    script.answers = [(200, answer), (200, json.dumps([GOOD]))]
    assert await by_endpoint(script).skills([TRAPPED, LOST], []) == [SKILL]


@pytest.mark.parametrize("answer", [(401, {"error": "no key"}), (500, {"error": "broken"}), (200, None)])
async def test_an_evolver_that_cannot_be_used_is_said_in_a_sentence(script: Script, answer: Any) -> None:
    script.answers = [answer]
    with pytest.raises(Unanswered, match=script.url):
        await by_endpoint(script).skills([TRAPPED], [])


async def test_an_address_of_no_evolver_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(completions, "PAUSE_S", 0.0)
    with pytest.raises(Unanswered, match=r"skills\.evolver\.url"):
        await Llm(LlmConfig(url="http://127.0.0.1:9/v1"), silent).skills([TRAPPED], [])


async def test_without_an_address_the_policy_writes_the_skills() -> None:
    asked: list[tuple[str, float, int]] = []

    async def ask(messages: Sequence[Message], temperature: float, max_tokens: int) -> str:
        asked.append((messages[0]["role"], temperature, max_tokens))
        return json.dumps([GOOD])

    assert await Llm(LlmConfig(max_tokens=99), ask).skills([TRAPPED], []) == [SKILL]
    assert asked == [("system", 0.0, 99)]


async def test_nobody_is_asked_about_episodes_in_which_nothing_was_said() -> None:
    assert await Llm(LlmConfig(), silent).skills([replace(LOST, turns=[])], []) == []
