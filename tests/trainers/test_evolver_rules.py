"""Skills by rules: what was refused and what ended an episode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from tagged import told

from agents.types import Message
from skills_db.store import open_store
from skills_db.types import NewSkill, SkillRow
from trainers.evolvers.rules import Rules, RulesConfig

TRAPPED = replace(
    told(("", "kick wall", "Nothing happens."), ("", "look", "A hall."), ("", "open blue door", "A trap.")), id="e1"
)
AGAIN = replace(TRAPPED, id="e2")
SLEPT = replace(told(("", "sleep", "Nothing happens."), ("", "wait", "It is night."), opening="A yard."), id="e3")


async def silent(messages: Sequence[Message], temperature: float, max_tokens: int) -> str:
    raise AssertionError("nobody is to be asked")


def by_rules(**settings: Any) -> Rules:
    return Rules(RulesConfig(**settings), silent)


async def test_a_failure_teaches_what_ended_it_and_what_was_refused_in_it() -> None:
    [skill] = await by_rules().skills([TRAPPED], [])
    assert skill == NewSkill(
        name="not-open-blue-door",
        description="When you see: A hall.",
        body="# Not this way\n\n**Anti-pattern**: open blue door: A trap.\n- kick wall: Nothing happens.",
        category="keydoor",
        episode="e1",
        turn=2,
    )


async def test_who_fails_with_the_same_command_teaches_nothing_new() -> None:
    first, second = await by_rules().skills([TRAPPED, AGAIN, SLEPT], [])
    assert (first.episode, second.episode) == ("e1", "e3")
    known = [SkillRow(first.name, "keydoor", "", "", None, 1)]
    assert [one.episode for one in await by_rules().skills([AGAIN, SLEPT], known)] == ["e3"]
    assert len(await by_rules(skills=1).skills([TRAPPED, SLEPT], [])) == 1


async def test_an_episode_without_turns_teaches_no_skill() -> None:
    assert await by_rules().skills([replace(TRAPPED, turns=[])], []) == []


async def test_whatever_is_said_makes_a_name_that_memory_takes(tmp_path: Path) -> None:
    with open_store(str(tmp_path / "memory.db")) as store:
        for action in ("Öffne Tür 7!", "x" * 500, "-- --", "007", "go\tto  the\nyard"):
            lost = replace(told(("", action, "You are dead.")), id="e")
            [skill] = await by_rules().skills([lost], [])
            store.add_skill(skill)
        assert len(store.skills()) == 5
