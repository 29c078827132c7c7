"""Skills and their versions, on both engines."""

from __future__ import annotations

import multiprocessing
from dataclasses import replace
from multiprocessing.synchronize import Barrier

import pytest
from test_store import an_episode, growing_turns

from skills_db.errors import BadRecord, EditConflict, StoreReadOnly, UnknownRecord
from skills_db.skills import LIMIT_BYTES, digest_of_version
from skills_db.store import Store, open_store
from skills_db.types import NewSkill, SkillEdit

DRAWERS = NewSkill(
    "open-drawers", "When a drawer is locked.", "Pull.\n", category="textworld", front={"license": "MIT"}
)


def test_a_skill_comes_back_as_it_was_kept(store: Store) -> None:
    kept = store.add_skill(replace(DRAWERS, files={"b/a.bin": b"\x00\xff"}, episode="e1", turn=3))
    (skill,) = store.skills()
    assert skill == store.skill("open-drawers")
    assert (skill.category, skill.description, skill.current, skill.retired) == (
        "textworld", "When a drawer is locked.", 1, None,
    )  # fmt: skip
    assert skill.version() == kept
    assert (kept.body, kept.parent, kept.episode, kept.turn) == ("Pull.\n", None, "e1", 3)
    assert (kept.front, kept.files) == (
        {"description": "When a drawer is locked.", "license": "MIT"},
        {"b/a.bin": "AP8="},
    )
    assert kept.digest == digest_of_version("open-drawers", "Pull.\n", kept.front, kept.files)


def test_an_edit_adds_a_version_and_leaves_what_it_does_not_name(store: Store) -> None:
    store.add_skill(DRAWERS)
    second = store.edit_skill("open-drawers", SkillEdit(body="Find the key."), base=1)
    third = store.edit_skill("open-drawers", SkillEdit(description="When it is locked.", category="any"), base=2)
    assert [(each.version, each.parent) for each in store.skill("open-drawers").versions] == [(1, None), (2, 1), (3, 2)]
    assert (second.description, third.description) == ("When a drawer is locked.", "When it is locked.")
    assert (third.body, third.front["license"]) == ("Find the key.\n", "MIT")
    assert (store.skill("open-drawers").description, store.skill("open-drawers").category) == (
        "When it is locked.",
        "any",
    )
    assert len({each.digest for each in store.skill("open-drawers").versions}) == 3


def test_an_edit_that_changes_nothing_adds_nothing(store: Store) -> None:
    first = store.add_skill(DRAWERS)
    assert store.edit_skill("open-drawers", SkillEdit(body="Pull.\n"), base=1) == first
    assert len(store.skill("open-drawers").versions) == 1


def test_an_edit_back_takes_the_earlier_version_up_again(store: Store) -> None:
    first = store.add_skill(DRAWERS)
    store.edit_skill("open-drawers", SkillEdit(body="Push."))
    assert store.edit_skill("open-drawers", SkillEdit(body="Pull.\n"), base=2) == first
    assert store.skill("open-drawers").current == 1
    third = store.edit_skill("open-drawers", SkillEdit(body="Turn."), base=1)
    assert (third.version, third.parent, store.skill("open-drawers").current) == (3, 1, 3)


def test_the_second_writer_of_one_version_is_told(store: Store) -> None:
    store.add_skill(DRAWERS)
    store.edit_skill("open-drawers", SkillEdit(body="Push."), base=1)
    with pytest.raises(EditConflict, match="is at version 2 and the edit is based on version 1"):
        store.edit_skill("open-drawers", SkillEdit(body="Turn."), base=1)
    assert [each.body for each in store.skill("open-drawers").versions] == ["Pull.\n", "Push.\n"]
    assert store.edit_skill("open-drawers", SkillEdit(body="Turn."), base=2).version == 3


def edit_at_once(url: str, text: str, barrier: Barrier) -> None:
    with open_store(url) as store:
        barrier.wait(30)
        try:
            store.edit_skill("open-drawers", SkillEdit(body=text), base=1)
        except EditConflict:
            raise SystemExit(7) from None


def test_of_writers_at_once_one_wins_and_the_others_are_told(url: str) -> None:
    with open_store(url) as store:
        store.add_skill(DRAWERS)
    fork = multiprocessing.get_context("fork")  # no imports to wait for
    barrier = fork.Barrier(4)
    writers = [fork.Process(target=edit_at_once, args=(url, f"text {i}", barrier)) for i in range(4)]
    for process in writers:
        process.start()
    for process in writers:
        process.join(60)
    assert sorted(process.exitcode or 0 for process in writers) == [0, 7, 7, 7]
    with open_store(url) as store:
        assert len(store.skill("open-drawers").versions) == 2


def test_skills_are_read_by_pages_in_one_order_on_both_engines(store: Store) -> None:
    names = ["ab", "a-c", "a1", "a-b"]
    store.keep_skills([replace(DRAWERS, name=name) for name in names])
    store.edit_skill("a1", SkillEdit(body="Push."))
    assert [skill.name for skill in store.skills()] == sorted(names) == ["a-b", "a-c", "a1", "ab"]
    assert [(skill.name, skill.current) for skill in store.skills(limit=2, offset=1)] == [("a-c", 1), ("a1", 2)]
    assert [skill.name for skill in store.skills(offset=3)] == ["ab"]
    assert store.skills(limit=0) == store.skills(limit=1, offset=4) == []


def test_a_retired_skill_is_put_away_and_taken_up_by_hand_or_by_an_edit(store: Store) -> None:
    store.add_skill(DRAWERS)
    assert store.retire("skill", "open-drawers")
    assert not store.retire("skill", "open-drawers")
    assert store.skills() == []
    assert [skill.name for skill in store.skills(retired=True, category="textworld")] == ["open-drawers"]
    assert store.retire("skill", "open-drawers", back=True)
    store.retire("skill", "open-drawers")
    store.edit_skill("open-drawers", SkillEdit(body="Push."))
    assert store.skill("open-drawers").retired is None
    with pytest.raises(UnknownRecord, match="no skill is named 'x'"):
        store.retire("skill", "x")


def test_an_episode_is_stamped_with_the_hash_of_what_it_was_shown(store: Store) -> None:
    first = store.add_skill(DRAWERS)
    second = store.edit_skill("open-drawers", SkillEdit(body="Push."))
    run = store.add_run("r", {})
    turns = [replace(turn, skills=(second.digest, first.digest)[:i]) for i, turn in enumerate(growing_turns(3))]
    store.add_episode(run, an_episode(turns=turns))
    assert store.episode("e1").turns == turns
    unknown = [replace(growing_turns(1)[0], skills=("beef",))]
    with pytest.raises(BadRecord, match="was shown a skill's version 'beef', and none has this content hash"):
        store.add_episode(run, an_episode("e2", turns=unknown))
    assert len(store.episodes()) == 1


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Open"}, "cannot be named 'Open'"),
        ({"name": "../x"}, "cannot be named"),
        ({"name": "a--b"}, "cannot be named"),
        ({"name": "42"}, "cannot be named"),
        ({"name": "a" * 65}, "at most 64"),
        ({"name": ""}, "cannot be named"),
        ({"description": " "}, "has 0 characters: say in 1 to 1024"),
        ({"description": "x" * 1025}, "has 1025 characters"),
        ({"body": "\n"}, "has no text"),
        ({"body": "x" * (LIMIT_BYTES + 1)}, "is longer than 1048576 bytes"),
        ({"body": "a\x00b"}, "has a NUL or half a character"),
        ({"body": "a\ud800b"}, "has a NUL or half a character"),
        ({"front": {"a": {"b": ["\x00"]}}}, "has a NUL or half a character"),
        ({"front": {"name": "other"}}, "says its name or description twice"),
        ({"front": {"a": float("nan")}}, "is not JSON"),
        ({"front": {"a": {1, 2}}}, "is not JSON"),
        ({"front": {"a": {1: "x"}}}, "has a key 1 that is no text"),
        ({"files": {"../x": b""}}, "say a path within its folder"),
        ({"files": {"/x": b""}}, "say a path within its folder"),
        ({"files": {"a//b": b""}}, "say a path within its folder"),
        ({"files": {"": b""}}, "say a path within its folder"),
        ({"files": {"skill.md": b""}}, "other than SKILL.md"),
        ({"files": {"a": b"x" * (LIMIT_BYTES + 1)}}, "are longer than 1048576 bytes in all"),
    ],
)
def test_what_is_no_skill_is_refused(store: Store, changes: dict[str, object], reason: str) -> None:
    with pytest.raises(BadRecord, match=reason) as error:
        store.add_skill(replace(DRAWERS, **changes))  # type: ignore[arg-type]
    assert "\n" not in str(error.value)
    assert store.skills(retired=True) == []


def test_a_name_is_taken_once_and_an_unknown_one_cannot_be_edited(store: Store) -> None:
    store.add_skill(DRAWERS)
    with pytest.raises(BadRecord, match="there is a skill named 'open-drawers' already: edit it"):
        store.add_skill(replace(DRAWERS, body="other"))
    with pytest.raises(UnknownRecord, match="no skill is named 'x': add it first"):
        store.edit_skill("x", SkillEdit(body="y"))
    with pytest.raises(LookupError, match="has no version 9: say 1 to 1"):
        store.skill("open-drawers").version(9)


def test_a_store_that_may_not_be_written_keeps_its_skills(url: str) -> None:
    with open_store(url) as store:
        store.add_skill(DRAWERS)
    with open_store(url, readonly=True) as store:
        with pytest.raises(StoreReadOnly, match="may not be written"):
            store.edit_skill("open-drawers", SkillEdit(body="Push."))
        assert store.skill("open-drawers").current == 1
