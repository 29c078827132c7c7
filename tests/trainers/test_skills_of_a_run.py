"""Skills from step to step: when failures are read, what is kept of what they teach, and what that leaves to train."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import runs
from by_hand import TASK, episode

from agents.contexts.recall import Recall
from agents.library import Library
from agents.types import Episode, StopReason
from skills_db.errors import StoreBusy
from skills_db.store import Store, open_store
from skills_db.types import NewSkill, SkillRow
from trainers import recipe
from trainers.completions import Unanswered
from trainers.evolvers.base import Evolver
from trainers.evolvers.llm import LlmConfig
from trainers.query import QueryData
from trainers.recipe import BadConfig
from trainers.skills import Skills, failures
from trainers.skills_config import SkillsConfig


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with open_store(str(tmp_path / "memory.db")) as found:
        yield found


def lost(id: str, reward: float = 0.0, key: str = TASK.key) -> Episode:
    return replace(episode([reward]), id=id, task=TASK.model_copy(update={"key": key}))


def won(id: str) -> Episode:
    found = lost(id, 1.0)
    [turn] = found.turns
    assert turn.result is not None
    return replace(found, turns=[replace(turn, result=turn.result.model_copy(update={"success": True}))])


def skill(name: str, episode: str = "a", **more: Any) -> NewSkill:
    return NewSkill(**{"name": name, "description": "When.", "body": "Do.", "episode": episode, "turn": 0, **more})


class Dictated(Evolver):
    """Says what it is told to, and keeps what it was asked."""

    def __init__(self, *said: NewSkill, error: Exception | None = None) -> None:
        self.said, self.error = said, error
        self.failed: list[str] = []
        self.known: list[str] = []

    async def skills(self, failed: Sequence[Episode], known: Sequence[SkillRow]) -> list[NewSkill]:
        self.failed, self.known = [one.id for one in failed], [one.name for one in known]
        if self.error:
            raise self.error
        return list(self.said)


def skills(store: Any, evolver: Evolver, heard: list[str] | None = None, **settings: Any) -> Skills:
    config = SkillsConfig(**{"every": 1, **settings})
    data = QueryData(Library(store, TASK.env), config.reading)
    return Skills(config, store, data, evolver, ([] if heard is None else heard).append)


def test_failures_teach_at_their_step_where_too_few_succeed(store: Store) -> None:
    found = skills(store, Dictated(), every=2, below=0.4)
    bad, good = [won("a"), lost("b"), lost("c")], [won("a"), won("b"), lost("c"), lost("d"), lost("e")]
    assert found.due(2, bad)  # 1 of 3 is below 0.4
    assert not found.due(2, good)  # 2 of 5 is not
    assert not found.due(1, bad)
    assert not found.due(2, [])
    broken = replace(lost("d"), stop=StopReason.ERROR)
    assert not found.due(2, [won("a"), broken])  # 1 of 1: what broke is in no statistic
    assert not skills(store, Dictated(), every=0).due(2, bad)


def test_the_worst_of_each_task_is_read_first_and_no_more_than_is_said() -> None:
    played = [lost("a1", 0.5), lost("a2", 0.1), won("a3"), lost("b1", 0.2, key="b"), replace(lost("x"), turns=[])]
    played.append(replace(lost("y"), stop=StopReason.ERROR))
    assert [one.id for one in failures(played, 6)] == ["a2", "b1", "a1"]
    assert [one.id for one in failures(played, 2)] == ["a2", "b1"]


async def test_what_is_taught_is_kept_and_makes_the_next_generation(store: Store) -> None:
    evolver = Dictated(skill("one"), skill("two"))
    found = skills(store, evolver)
    metrics = await found.evolve([lost("a"), won("b")])
    assert (metrics["skills/read"], metrics["skills/offered"], metrics["skills/added"]) == (1.0, 2.0, 2.0)
    assert found.data.generation == 1
    assert [(one.name, one.version().episode, one.version().turn) for one in store.skills()] == [
        ("one", "a", 0),
        ("two", "a", 0),
    ]
    assert evolver.failed == ["a"]


async def test_a_name_that_is_taken_is_left_out_even_where_it_is_retired(store: Store) -> None:
    store.add_skill(skill("one", body="Mine."))
    store.add_skill(skill("two"))
    store.retire("skill", "two")
    evolver = Dictated(skill("one"), skill("two"))
    found = skills(store, evolver)
    metrics = await found.evolve([lost("a")])
    assert (metrics["skills/known"], metrics["skills/added"]) == (2.0, 0.0)
    assert evolver.known == ["one", "two"]
    assert [(one.name, one.version().body) for one in store.skills()] == [("one", "Mine.\n")]
    # Nothing was taught, so nobody is support data.
    assert found.data.generation == 0
    assert found.data.trains(lost("a"))


async def test_a_skill_that_memory_cannot_keep_costs_no_other(store: Store) -> None:
    heard: list[str] = []
    found = skills(store, Dictated(skill("one", body="half \ud800"), skill("two")), heard)
    metrics = await found.evolve([lost("a")])
    assert (metrics["skills/refused"], metrics["skills/added"]) == (1.0, 1.0)
    assert [one.name for one in store.skills()] == ["two"]
    assert heard == [
        "a skill is not kept: skill 'one' has a NUL or half a character in its text: take it out",
    ]


async def test_what_goes_wrong_with_skills_is_told_and_ends_nothing(store: Store) -> None:
    heard: list[str] = []
    found = skills(store, Dictated(error=Unanswered("the model is out")), heard)
    assert (await found.evolve([lost("a")]))["skills/failed"] == 1.0
    assert heard == ["failures teach no more skills this time: the model is out"]
    assert found.data.generation == 0


async def test_a_skill_that_got_in_before_the_database_went_is_of_the_next_generation(store: Store) -> None:
    class Once:
        def __init__(self) -> None:
            self.names: list[str] = []

        def skills(self, *, retired: bool) -> list[SkillRow]:
            return []

        def add_skill(self, new: NewSkill) -> None:
            if self.names:
                raise StoreBusy("somebody else is writing")
            self.names.append(new.name)

    found = skills(Once(), Dictated(skill("one"), skill("two")))
    metrics = await found.evolve([lost("a")])
    assert (metrics["skills/added"], metrics["skills/failed"]) == (1.0, 1.0)
    assert found.data.generation == 1
    assert not found.data.trains(lost("a"))


def test_skills_that_nobody_is_shown_are_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match=r"context\.skills=6"):
        runs.config(tmp_path, None, "skills.every=1")
    with pytest.raises(BadConfig, match="nobody is shown"):
        runs.config(tmp_path, None, "skills.every=1", "context.name=recall")
    config = runs.config(tmp_path, None, "skills.every=1", "context.name=recall", "context.skills=6")
    assert recipe.resolve(json.loads(recipe.text(config))) == config


@pytest.mark.parametrize(
    "pair", ["skills.evolver.skils=2", "skills.evolver=lm", "skills.reading=all", "skills.below=2"]
)
def test_a_bad_setting_of_skills_is_refused_in_a_sentence(tmp_path: Path, pair: str) -> None:
    with pytest.raises(BadConfig):
        runs.config(tmp_path, None, pair)


def stated(page: str, heading: str) -> dict[str, str]:
    """Options of the page's section, and their defaults; a row of several names or of words stands for itself."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return dict(re.findall(r"^\| `(\w+)` \| `([^`]*)` \|", section, re.M))


def test_the_page_states_the_real_defaults() -> None:
    page = (Path(__file__).parents[2] / "docs" / "algorithms" / "metaclaw.md").read_text()
    skills = SkillsConfig().model_dump(mode="json") | {"evolver": "llm"}
    assert stated(page, "Options of the run") == {name: str(value) for name, value in skills.items()}
    shown = {name: str(value) for name, value in Recall.Config().model_dump(mode="json").items() if "skills" in name}
    assert stated(page, "What is shown") == shown
    written = stated(page, "Who writes")
    real = LlmConfig().model_dump(mode="json")
    assert {"skills", "turns", "seen_chars", "said_chars", "description_chars", "body_chars"} <= written.keys()
    assert written == {name: str(real[name]) for name in written}


def test_every_leak_that_the_page_names_has_its_test() -> None:
    root = Path(__file__).parents[2]
    named = re.findall(r"`(test_\w+)`", (root / "docs" / "algorithms" / "metaclaw.md").read_text())
    tests = (Path(__file__).parent / "test_metaclaw.py").read_text()
    assert len(named) == 4
    assert all(f"def {name}(" in tests for name in named)
