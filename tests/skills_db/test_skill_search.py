"""Which skills are found and which are shown, on both engines."""

from __future__ import annotations

from datetime import datetime

import numpy as np
import pytest
from test_store import an_episode

from skills_db.embedders.hashing import Hashing
from skills_db.errors import BadRecord
from skills_db.hybrid import Wanted
from skills_db.store import Store, open_store
from skills_db.types import NewSkill, SkillEdit

SITUATION = "You are in the kitchen. The drawer 1 is locked. On the table you see a brass key."

SKILLS = (
    NewSkill("plan-first", "Use when a task has many steps.", "Write the steps down."),
    NewSkill("be-brief", "Use when you answer.", "Say it in one line."),
    NewSkill("open-drawers", "When a drawer is locked.", "Find the key.", "household"),
    NewSkill("use-keys", "When there are keys and a locked drawer.", "Turn it.", "household"),
    NewSkill("buy-cheap", "When prices differ.", "Sort by price.", "webshop"),
    NewSkill("look-around", "On arriving anywhere.", "Look.", "alfworld"),
    NewSkill("no-loops", "Do not repeat a command.", "Try another.", "common_mistakes"),
)


@pytest.fixture
def filled(store: Store) -> Store:
    store.keep_skills(SKILLS)
    return store


def shown(
    store: Store, text: str = SITUATION, match: str = "template", env: str = "alfworld", limit: int = 6
) -> list[str]:
    return [version.skill for version in store.skills_for(text, limit=limit, match=match, env=env)]  # type: ignore[arg-type]


def test_by_template_come_general_skills_then_the_environments_then_those_with_the_words_then_mistakes(
    filled: Store,
) -> None:
    # Of key, household, locked, drawer three occur, of open, household, locked, drawer two.
    assert shown(filled) == ["be-brief", "plan-first", "look-around", "use-keys", "open-drawers", "no-loops"]
    assert shown(filled, limit=1)[:2] == ["be-brief", "look-around"]
    assert shown(filled, "The price is high.", env="webshop") == ["be-brief", "plan-first", "buy-cheap", "no-loops"]
    assert shown(filled, "", env="nowhere") == ["be-brief", "plan-first", "no-loops"]


def test_by_embedding_the_nearest_of_each_part_come_first(filled: Store) -> None:
    embedder = Hashing()
    asked_D = embedder.embed([SITUATION])[0]

    def nearest(categories: set[str]) -> list[str]:
        chosen = [skill for skill in SKILLS if skill.category in categories]
        rows_ND = embedder.embed([f"{skill.name}. {skill.description}. {skill.body}\n" for skill in chosen])
        return [chosen[i].name for i in np.argsort(-(rows_ND @ asked_D))]

    others = nearest({"household", "webshop", "alfworld"})
    assert others[0] in ("use-keys", "open-drawers")
    assert shown(filled, match="embedding") == [*nearest({"general"}), *others, "no-loops"]


def test_a_situation_that_is_like_no_skill_orders_them_by_name(store: Store) -> None:
    store.keep_skills(NewSkill(f"s-{name}", "Say it.", "Say it.") for name in ("c", "a", "b", "a-b", "ab"))
    for match in ("template", "embedding"):
        assert shown(store, "", match) == ["s-a", "s-a-b", "s-ab", "s-b", "s-c"]


def test_at_most_ten_specific_skills_and_five_mistakes_are_shown(store: Store) -> None:
    store.keep_skills(NewSkill(f"do-{i:02}", "Say it.", "Say it.", "alfworld") for i in range(12))
    store.keep_skills(NewSkill(f"dont-{i:02}", "Say it.", "Say it.", "common_mistakes") for i in range(7))
    expected = [f"do-{i:02}" for i in range(10)] + [f"dont-{i:02}" for i in range(5)]
    assert shown(store) == shown(store, "", "embedding") == expected


def test_the_version_in_use_is_shown_and_no_retired_skill(filled: Store) -> None:
    first = filled.skill("open-drawers").version()
    second = filled.edit_skill("open-drawers", SkillEdit(body="Push."))
    found = filled.skills_for(SITUATION, limit=1, match="template", env="household")
    assert second in found
    assert second.parent == 1
    filled.edit_skill("open-drawers", SkillEdit(body=first.body))
    assert first in filled.skills_for(SITUATION, limit=1, match="embedding", env="household")
    filled.retire("skill", "open-drawers")
    assert "open-drawers" not in shown(filled) + shown(filled, match="embedding")


def test_an_edit_by_another_is_compared_anew(filled: Store, url: str) -> None:
    assert shown(filled, "zebra", "embedding", limit=1)[0] != "plan-first"
    with open_store(url) as other:
        other.edit_skill("plan-first", SkillEdit(description="zebra zebra", body="zebra"))
    assert shown(filled, "zebra", "embedding", limit=1)[0] == "plan-first"


def names(store: Store, text: str, category: str | None = None, **wanted: object) -> list[str]:
    found = store.find_skills(text, Wanted(**wanted), category=category)  # type: ignore[arg-type]
    return [skill.skill for skill in found]


def test_a_skill_that_is_found_says_its_place_in_each_ranking_and_the_parts_add_up(filled: Store) -> None:
    best, *others = filled.find_skills("price sort")
    assert (best.skill, best.version, best.category, best.retired) == ("buy-cheap", 1, "webshop", None)
    assert best.description == "When prices differ."
    assert best.snippet == "buy-cheap When [prices] differ. [Sort] by [price]."
    assert [(place.ranking, place.rank, place.part) for place in best.places] == [
        ("text", 1, 1 / 61),
        ("vector", 1, 1 / 61),
    ]
    assert best.total == pytest.approx(2 / 61)
    assert [[place.ranking for place in other.places] for other in others] == [["vector"]] * 6
    assert [other.places[0].rank for other in others] == [2, 3, 4, 5, 6, 7]


def test_skills_are_narrowed_by_category_and_limit_and_retired_ones_left_out(filled: Store) -> None:
    assert set(names(filled, "locked drawer", category="household")) == {"open-drawers", "use-keys"}
    assert names(filled, "locked drawer", category="nowhere") == []
    assert len(names(filled, "locked drawer", limit=3)) == 3
    filled.retire("skill", "use-keys")
    assert names(filled, "locked drawer", category="household") == ["open-drawers"]
    found = {skill.skill: skill.retired for skill in filled.find_skills("locked drawer", retired=True)}
    assert found["open-drawers"] is None
    assert found["use-keys"] == filled.skill("use-keys").retired


def test_filters_of_experiences_hold_for_skills_as_far_as_these_have_such_a_thing(filled: Store) -> None:
    every = names(filled, "locked drawer")
    assert set(names(filled, "locked drawer", env="household")) == {
        "open-drawers",
        "use-keys",
        "plan-first",
        "be-brief",
    }
    assert names(filled, "locked drawer", env="household", category="general") == names(filled, "x", category="general")
    run, other = filled.add_run("first", {}), filled.add_run("second", {})
    filled.add_episode(run, an_episode("e1"))
    filled.edit_skill("use-keys", SkillEdit(body="Turn it left.", episode="e1", turn=0))
    assert names(filled, "locked drawer", run=run) == ["use-keys"]
    assert names(filled, "locked drawer", run=other) == names(filled, "locked drawer", run="' OR 1=1 --") == []
    written = datetime.fromisoformat(filled.skill("use-keys").version().created)
    assert names(filled, "locked drawer", newer_than=written) == ["use-keys"]
    assert set(names(filled, "locked drawer", older_than=written)) == set(every) - {"use-keys"}
    assert names(filled, "locked drawer", kind="skill") == every
    for of_experiences in ({"kind": "failure"}, {"level": ""}, {"score_at_least": 0.0}):
        assert names(filled, "locked drawer", **of_experiences) == [], of_experiences


@pytest.mark.parametrize(
    "text", ['"', "key' & !drawer | x:*", "NEAR(drawer key, 3)", "\x00key\ud800", "ключ 鍵", "x" * 3000]
)
def test_no_text_is_an_error(filled: Store, text: str) -> None:
    assert len(names(filled, text)) == len(SKILLS)
    assert shown(filled, text)[:2] == ["be-brief", "plan-first"]


def test_what_cannot_be_asked_is_one_sentence(store: Store) -> None:
    with pytest.raises(BadRecord, match="say template or embedding"):
        shown(store, match="dream")
    with pytest.raises(BadRecord, match="say 1 or more"):
        shown(store, limit=0)
    for limit in (0, 1001):
        with pytest.raises(BadRecord, match="say 1 to 1000"):
            names(store, "key", limit=limit)
    assert names(store, " ") == names(store, "key") == []
    assert shown(store) == shown(store, "x" * 1_000_000, "embedding") == []
