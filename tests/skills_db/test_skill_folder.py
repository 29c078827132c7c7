"""SKILL.md folders in and out; what is broken in one is a sentence."""

from __future__ import annotations

from pathlib import Path

import pytest

from skills_db.errors import BadRecord
from skills_db.skill_folder import find_folders, parse, read_folder, render, write_folders
from skills_db.skills import LIMIT_BYTES
from skills_db.store import Store, open_store
from skills_db.types import NewSkill, SkillEdit

GOOD = """---
name: open-drawers
description: 'When a drawer is locked: find its key.'
license: MIT
metadata:
  category: textworld
  tags: [drawers, keys]
---

# Open drawers

---
Pull.
"""


def folder(home: Path, text: str | bytes = GOOD, name: str = "open-drawers") -> Path:
    made = home / name
    made.mkdir(parents=True)
    (made / "SKILL.md").write_bytes(text.encode() if isinstance(text, str) else text)
    return made


def test_a_folder_is_read_with_its_front_matter_and_files(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "scripts").mkdir()
    (made / "scripts" / "run.sh").write_bytes(b"\x00\xffrun")
    assert read_folder(made) == NewSkill(
        "open-drawers",
        "When a drawer is locked: find its key.",
        "# Open drawers\n\n---\nPull.\n",
        category="textworld",
        front={"license": "MIT", "metadata": {"tags": ["drawers", "keys"]}},
        files={"scripts/run.sh": b"\x00\xffrun"},
    )


def test_windows_line_ends_and_a_byte_order_mark_are_read_alike(tmp_path: Path) -> None:
    assert parse("\ufeff" + GOOD.replace("\n", "\r\n"), "it") == parse(GOOD, "it")


def test_a_folder_goes_into_the_store_and_comes_out_the_same(store: Store, tmp_path: Path) -> None:
    made = folder(tmp_path / "in")
    (made / "a.bin").write_bytes(bytes(range(256)))
    other = folder(tmp_path / "in", GOOD.replace("open-drawers", "shut-drawers"), "shut-drawers")
    assert find_folders(tmp_path / "in") == [made, other]
    found = [read_folder(each) for each in find_folders(tmp_path / "in")]
    assert store.keep_skills(found) == {"added": 2, "edited": 0, "unchanged": 0}
    assert store.keep_skills(found) == {"added": 0, "edited": 0, "unchanged": 2}
    write_folders(tmp_path / "out", store.skills())
    assert [read_folder(each) for each in find_folders(tmp_path / "out")] == found
    assert store.keep_skills([read_folder(tmp_path / "out" / "open-drawers")])["unchanged"] == 1
    (made / "SKILL.md").write_text(GOOD.replace("Pull.", "Push."))
    assert store.keep_skills([read_folder(made)]) == {"added": 0, "edited": 1, "unchanged": 0}
    assert store.skill("open-drawers").version().parent == 1
    assert sorted(item.name for item in (tmp_path / "out").iterdir()) == ["open-drawers", "shut-drawers"]


def test_what_is_there_is_not_written_over_unasked(store: Store, tmp_path: Path) -> None:
    store.keep_skills([NewSkill("a", "When a.", "Do a."), NewSkill("b", "When b.", "Do b.")])
    home = tmp_path / "home"
    (home / "b").mkdir(parents=True)
    (home / "b" / "mine.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="is there already: say --replace"):
        write_folders(home, store.skills())
    assert [item.name for item in home.iterdir()] == ["b"]
    write_folders(home, store.skills(), replace=True)
    assert sorted(str(item.relative_to(home)) for item in home.rglob("*.*")) == ["a/SKILL.md", "b/SKILL.md"]
    store.edit_skill("a", SkillEdit(category="textworld"))
    assert store.keep_skills(map(read_folder, find_folders(home)))["unchanged"] == 2
    assert store.skill("a").category == "textworld"


def test_a_category_and_the_hash_survive_the_journey_wherever_the_category_stood(store: Store, tmp_path: Path) -> None:
    kept = store.add_skill(NewSkill("open-drawers", "When locked.", "Pull.", category="keydoor"))
    write_folders(tmp_path, store.skills())
    text = (tmp_path / "open-drawers" / "SKILL.md").read_text()
    assert text == "---\nname: open-drawers\ndescription: When locked.\nmetadata:\n  category: keydoor\n---\n\nPull.\n"
    with open_store(str(tmp_path / "other.db")) as other:
        other.keep_skills([read_folder(tmp_path / "open-drawers")])
        again = other.skill("open-drawers")
    assert (again.category, again.version().digest) == ("keydoor", kept.digest)
    for line in ("category: keydoor", "metadata: {category: keydoor}", "metadata: {category: x}\ncategory: keydoor"):
        assert parse(head("name: a", "description: d", line), "it") == NewSkill("a", "d", "body\n", category="keydoor")
    odd = parse(head("name: a", "description: d", "metadata: [x]", "category: 7"), "it")
    assert (odd.category, odd.front) == ("7", {"metadata": ["x"]})
    assert parse(render(store.add_skill(odd), odd.category), "it") == odd
    with pytest.raises(BadRecord, match="the category in it is no text"):
        parse(head("name: a", "description: d", "category: [x]"), "it")


def test_a_date_is_the_text_it_is(store: Store) -> None:
    text = "---\nname: a\ndescription: d\nday: 2026-01-02\nat: 2026-01-02T03:04:05Z\n---\n\nbody\n"
    kept = store.add_skill(parse(text, "it"))
    assert kept.front == {"description": "d", "day": "2026-01-02", "at": "2026-01-02T03:04:05Z"}
    assert render(kept) == text


def test_text_that_yaml_would_misread_survives(store: Store, tmp_path: Path) -> None:
    odd = "yes: no # not a comment\n- 'x' \"y\" ---"
    kept = store.add_skill(NewSkill("odd", "  " + odd, "---\nbody\n---", front={"on": "off", "n": 1.5, "z": None}))
    again = parse(render(kept), "it")
    assert (again.description, again.front, again.body) == (odd, {"on": "off", "n": 1.5, "z": None}, "---\nbody\n---\n")


def head(*lines: str) -> str:
    return "\n".join(("---", *lines, "---", "body"))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not begin with front matter"),
        ("# Title\n", "does not begin with front matter"),
        ("---\nname: open-drawers\n", "has no end: put a line --- after it"),
        ("---\n---\nbody", "is no map: write lines of KEY: VALUE"),
        (head("- a", "- b"), "is no map"),
        (head("name: open-drawers"), "has no description"),
        (head("description: d"), "has no name"),
        (head("name: 7", "description: d"), "has no name: say one, as text"),
        (head("name: open-drawers", "description: [d]"), "has no description: say one, as text"),
        (head("name: Open Drawers", "description: d"), "cannot be named 'Open Drawers'"),
        (head("name: other", "description: d"), "holds a skill named 'other': give both one name"),
        (head("name: open-drawers", "description: when: a", "x: y"), "cannot be read: line 3: mapping values are not"),
        (head("name: open-drawers", "description: 'd"), "cannot be read"),
        (head("name: open-drawers", "name: other", "description: d"), "the key 'name' stands in it twice"),
        (head("name: open-drawers", "description: d", "a: &x [1]", "b: *x"), "an alias stands in it"),
        (head("name: open-drawers", "description: d", "? [1]", ": 2"), "cannot be read"),
        (head("name: open-drawers", "description: d", "a: !!python/object:os.system {}"), "cannot be read"),
        (head("name: open-drawers", "description: d", "a: " + "[" * 5000), "cannot be read"),
        (head("name: open-drawers", "description: d", "a: " + "x" * 70_000), "longer than 65536 characters"),
        (head("name: open-drawers", "description: d").removesuffix("body"), "says nothing after its front matter"),
        (GOOD.encode() + b"\xff", r"is no UTF-8 text \(byte"),
        (GOOD.encode() + b"x" * (2 * LIMIT_BYTES), "is longer than"),
    ],
)
def test_a_broken_skill_is_one_sentence_that_names_it(tmp_path: Path, text: str | bytes, reason: str) -> None:
    made = folder(tmp_path, text)
    with pytest.raises(BadRecord, match=reason) as error:
        read_folder(made)
    assert str(made) in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("day: !!timestamp 2026-01-02", "is not JSON"),
        ("n: .nan", "is not JSON"),
        ("1: x", "has a key 1 that is no text"),
    ],
)
def test_front_matter_that_json_does_not_have_is_refused(store: Store, line: str, reason: str) -> None:
    with pytest.raises(BadRecord, match=reason):
        store.add_skill(parse(head("name: open-drawers", "description: d", line), "it"))
    assert store.skills() == []


def test_links_and_too_many_bytes_are_refused(tmp_path: Path) -> None:
    made = folder(tmp_path)
    (made / "link").symlink_to("/etc/passwd")
    with pytest.raises(BadRecord, match="is a link or no plain file"):
        read_folder(made)
    (made / "link").unlink()
    (made / "big").write_bytes(b"x" * (LIMIT_BYTES + 1))
    with pytest.raises(BadRecord, match="are longer than 1048576 bytes in all"):
        read_folder(made)
    with pytest.raises(BadRecord, match=r"holds no SKILL\.md, nor does a folder in it"):
        find_folders(made / "..")[0] and find_folders(tmp_path / "none")
    (tmp_path / "x").mkdir()
    (tmp_path / "x" / "SKILL.md").symlink_to(made / "SKILL.md")
    with pytest.raises(BadRecord, match="is a link: put the file itself there"):
        read_folder(tmp_path / "x")


def test_one_broken_folder_of_many_keeps_the_others_out_too(store: Store) -> None:
    with pytest.raises(BadRecord, match="has no text"):
        store.keep_skills([NewSkill("a", "When a.", "Do a."), NewSkill("b", "When b.", " ")])
    assert store.skills() == []
