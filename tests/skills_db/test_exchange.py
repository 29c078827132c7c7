"""A library out of one database and into another, on both engines."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
import sqlalchemy as sa
from test_store import an_episode, growing_turns

from skills_db.errors import BadRecord
from skills_db.experiences import digest_of
from skills_db.models import Experience, Use
from skills_db.rules import Rules
from skills_db.store import Store, open_store
from skills_db.types import NewExperience, NewSkill, SkillEdit


@pytest.fixture
def filled(store: Store) -> Store:
    store.add([NewExperience("keydoor", "elsewhere", "look", "failure", 0.0, episode="e9", turn=4)])
    one, two = store.add(
        [
            NewExperience("textworld", "a locked drawer", "find the key", "skill", 1.0, level="principle"),
            NewExperience("textworld", "a locked drawer", "leave it", "failure", 0.5),
        ]
    )
    run, other = store.add_run("first", {"seed": 1}), store.add_run("second", {})
    turns = growing_turns(5)
    shown = type(turns[0])("o", "t", "a", 0.0, used=(two, one), kind="summary")
    store.add_episode(run, an_episode("e1", turns=[*turns, shown]))
    store.add_episode(run, an_episode("e2", reward=None, stop="error", error="the world broke", turns=[]))
    store.add_episode(other, an_episode("e3", env="keydoor", seed=-5))
    store.set_advantages("e1", [0.5, None, 0.0, 1.0, 2.0, -1.0])
    store.credit([one], 0.25)
    store.credit([one, two], 1.0, episode="e1")
    store.prune("textworld", 0)
    store.add([NewExperience("textworld", "a locked drawer", "find the key", "skill", 1.0)])
    store.add_skill(NewSkill("unlock", "When locked.", "# Unlock", "textworld", {"license": "MIT"}, {"a": b"\x00"}))
    edited = store.edit_skill("unlock", SkillEdit(body="# Unlock better", episode="e1", turn=2))
    store.edit_skill("unlock", SkillEdit(body="# Unlock"))
    skilled = replace(turns[0], skills=(edited.digest,), generation=3)
    store.add_episode(other, an_episode("e4", env="keydoor", turns=[skilled]))
    with store._database.writing() as connection:
        use = {"skill_version": 2, "reward": 0.5, "created": datetime(2026, 1, 2, tzinfo=UTC)}
        connection.execute(sa.insert(Use), use)
    return store


def raw(lines: list[str]) -> list[bytes]:
    return [line.encode() for line in lines]


def test_a_library_is_the_same_after_a_journey(filled: Store, tmp_path: Path) -> None:
    lines = list(filled.export_lines())
    with open_store(str(tmp_path / "other.db")) as other:
        other.add([NewExperience("somewhere", "x", "so that numbers differ", "skill", 1.0)])
        assert other.import_lines(raw(lines)) == {"run": 2, "experience": 3, "skill": 1, "episode": 4}
        again = list(other.export_lines())
        assert [line for line in again if "so that numbers differ" not in line] == lines
        assert other.episode("e1").turns[4] == filled.episode("e1").turns[4]
        assert other.task_stats() == filled.task_stats()
        hits = other.find('"locked drawer" find')
        assert [hit.kind for hit in hits] == ["experience"]


def test_the_same_file_twice_changes_nothing(filled: Store) -> None:
    lines = list(filled.export_lines())
    assert set(filled.import_lines(raw(lines)).values()) == {0}
    assert list(filled.export_lines()) == lines


def test_an_export_is_narrowed_and_can_still_be_read(filled: Store, tmp_path: Path) -> None:
    run = next(row.id for row in filled.runs() if row.name == "first")

    def counted(**wanted: object) -> dict[str, int]:
        lines = list(filled.export_lines(**wanted))  # type: ignore[arg-type]
        with open_store(str(tmp_path / f"{len(list(tmp_path.iterdir()))}-x.db")) as other:
            return other.import_lines(raw(lines))

    assert counted(run=run) == {"run": 1, "experience": 2, "skill": 1, "episode": 2}  # e1 taught a version of it
    assert counted(env="keydoor") == {"run": 1, "experience": 1, "skill": 1, "episode": 2}
    assert counted(env="textworld", run=run)["episode"] == 2
    filled.add_skill(NewSkill("new", "When new.", "# New", "keydoor"))  # never shown, learned nowhere
    assert counted(env="keydoor", episodes=False)["skill"] == 2
    assert counted(env="textworld", episodes=False)["skill"] == 1
    filled.retire("skill", "new")
    assert counted(env="keydoor")["skill"] == 2
    assert counted(run=run)["skill"] == 1
    assert counted(episodes=False) == {"run": 0, "experience": 3, "skill": 2, "episode": 0}


def broken(line: str, **changes: object) -> str:
    return json.dumps({**json.loads(line), **changes})


def test_a_bad_line_is_named_by_its_number_and_nothing_is_kept(filled: Store, tmp_path: Path) -> None:
    lines = list(filled.export_lines())
    last = len(lines)
    episode = json.loads(lines[-1])
    turn = episode["turns"][0]
    cases = [
        ("{", "Invalid JSON"),
        ("[1]", "should be an object"),
        ('{"type": "dream"}', "does not match any of the expected tags"),
        (broken(lines[-1], sead=1), "sead: Extra inputs"),
        (broken(lines[-1], reward="lots"), "reward: Input should be a valid number"),
        (broken(lines[-1], run="nowhere"), "belongs to run 'nowhere'"),
        (broken(lines[-1], turns=[{**turn, "sample_ids": "!!"}]), "Only base64 data"),
        (broken(lines[-1], turns=[{**turn, "sample_ids": "AAA="}]), "multiple of element size"),
        (broken(lines[-1], turns=[{**turn, "logprobs": ""}, {**turn, "logprobs": "AAAAAA=="}]), "4 sampled ids and 1"),
        (broken(lines[-1], turns=[{**turn, "prompt_shared": 7}]), "shares 7 ids with 0 before it"),
        (broken(lines[-1], turns=[{**turn, "used": [{"experience": "beef"}]}]), "experience beef was shown"),
        (broken(lines[-1], turns=[{**turn, "used": [{"skill": "x", "version": 1}]}]), "version 1 of skill 'x'"),
        (broken(lines[-1], reward=float("nan")), "reward: Input should be a finite number"),
        ("\xff\xfe", "Invalid JSON"),
        (lines[0], "the first line, and it alone"),
    ]
    with open_store(str(tmp_path / "other.db")) as other:
        for bad, reason in cases:
            with pytest.raises(BadRecord, match=rf"^line {last} of it cannot be kept: .*{reason}"):
                other.import_lines([*raw(lines[:-1]), bad.encode("latin-1")], "it")
            assert set(other.stats().rows.values()) == {0}


def test_what_is_no_exported_library_is_refused(store: Store) -> None:
    with pytest.raises(BadRecord, match="is empty"):
        store.import_lines([])
    with pytest.raises(BadRecord, match="line 1 of the file"):
        store.import_lines(
            [b'{"type": "run", "id": "r", "name": "n", "created": "2026-01-01T00:00:00Z", "config": {}}']
        )
    with pytest.raises(BadRecord, match=r"line 1 of the file cannot be kept: library\.format"):
        store.import_lines([b'{"type": "library", "format": 5, "schema_revision": "0001"}'])


def test_an_imported_experience_keeps_its_standing(filled: Store, tmp_path: Path) -> None:
    lines = raw(list(filled.export_lines()))

    def standing(store: Store) -> list[tuple[object, ...]]:
        table = Experience.__table__
        columns = [table.c[name] for name in ("advice", "score", "first_score", "shown", "created", "retired", "level")]
        with store._database.reading() as connection:
            return [tuple(row) for row in connection.execute(sa.select(*columns).order_by(table.c.id))]

    with open_store(str(tmp_path / "other.db")) as other:
        other.import_lines(lines)
        assert standing(other) == standing(filled)
    assert [row[1:4] for row in standing(filled)] == [(0.0, 0.0, 0), (0.625, 1.0, 2), (1.0, 0.5, 1)]


def test_a_library_travels_with_its_lineage(filled: Store, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "other.db")) as other:
        other.import_lines(raw(list(filled.export_lines())))
        assert other.lineage("unlock") == filled.lineage("unlock")
        assert other.lineage("e4") == filled.lineage("e4")
        assert other.skill("unlock") == filled.skill("unlock")
        assert (other.skill("unlock").current, len(other.skill("unlock").versions)) == (1, 2)


def test_a_skill_that_is_there_gets_what_it_lacks_and_stays_in_use(filled: Store, tmp_path: Path) -> None:
    with open_store(str(tmp_path / "other.db")) as other:
        mine = other.add_skill(NewSkill("unlock", "Mine.", "Kick the door."))
        assert other.import_lines(raw(list(filled.export_lines())))["skill"] == 1
        skill = other.skill("unlock")
        assert [(each.version, each.parent) for each in skill.versions] == [(1, None), (2, None), (3, 2)]
        assert skill.version() == mine
        stamped = filled.episode("e4").turns[0].skills
        assert other.episode("e4").turns[0].skills == stamped == (skill.version(3).digest,)
        assert other.import_lines(raw(list(filled.export_lines())))["skill"] == 0


def test_what_was_merged_finds_what_it_is_part_of(store: Store, tmp_path: Path) -> None:
    (kept,) = store.admit([NewExperience("e", "s", "open the drawer", "skill", 1.0)]).admitted
    (pair,) = store.admit([NewExperience("e", "s", "open the drawer!", "skill", 1.0)]).merged
    store.forget("e", Rules(capacity_skills=0))
    lines = list(store.export_lines())
    with open_store(str(tmp_path / "other.db")) as other:
        other.add([NewExperience("f", "x", "so that numbers differ", "skill", 1.0)])
        other.import_lines(raw([lines[0], *reversed(lines[1:])]))
        rows = {row.advice: row for row in (other.experience(id) for id in (2, 3))}
        assert rows["open the drawer!"].merged_into == rows["open the drawer"].id
        assert (rows["open the drawer"].retired_why, rows["open the drawer!"].retired_why) == ("score", "merged")
    first, second = lines[1:]
    digests = [json.loads(second)["merged_into"], digest_of("e", "skill", "s", "open the drawer!")]
    in_a_circle = [lines[0], broken(first, merged_into=digests[1]), second]
    to_nowhere = [lines[0], second]
    with open_store(str(tmp_path / "third.db")) as other:
        with pytest.raises(BadRecord, match="line 2 of the file cannot be kept: it was merged into itself"):
            other.import_lines(raw(in_a_circle))
        with pytest.raises(BadRecord, match=f"it was merged into experience {digests[0][:12]}, which is neither"):
            other.import_lines(raw(to_nowhere))
        assert set(other.stats().rows.values()) == {0}
    assert (kept, pair.entry) == (1, 2)


def test_versions_that_cannot_be_are_named(filled: Store, tmp_path: Path) -> None:
    lines = list(filled.export_lines(episodes=False))
    at = next(i for i, line in enumerate(lines) if '"type":"skill"' in line)
    first, second = json.loads(lines[at])["versions"]
    cases = [
        ({"versions": [{**first, "parent": 2}, second]}, "version 1 of skill 'unlock' comes before its parent 2"),
        ({"versions": [{**first, "parent": 1}]}, "version 1 of skill 'unlock' comes before its parent 1"),
        ({"versions": [first, first]}, "skill 'unlock' says one version twice"),
        ({"current": 9}, "skill 'unlock' uses version 9, which it does not have"),
        ({"versions": [{**first, "files": {"../x": ""}}, second]}, "say a path within its folder"),
        ({"versions": [{**first, "files": {"a": "!"}}, second]}, "base64"),
    ]
    with open_store(str(tmp_path / "other.db")) as other:
        for changes, reason in cases:
            with pytest.raises(BadRecord, match=rf"^line {at + 1} of the file cannot be kept: .*{reason}"):
                other.import_lines(raw([*lines[:at], broken(lines[at], **changes), *lines[at + 1 :]]))
        assert set(other.stats().rows.values()) == {0}


def test_a_file_of_the_first_format_is_read(filled: Store, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in filled.export_lines(episodes=False)]
    lines[0] |= {"format": 1, "schema_revision": "0001"}
    for line in lines[1:]:
        for name in ("retired_why", "merged_into", "current"):
            line.pop(name, None)
        for version in line.get("versions", []):
            for name in ("front", "files", "turn"):
                version.pop(name)
    with open_store(str(tmp_path / "other.db")) as other:
        assert other.import_lines(raw([json.dumps(line) for line in lines]))["skill"] == 1
        assert other.skill("unlock").version(1).description == "When locked."


def test_a_turn_of_the_second_format_has_no_generation(filled: Store, tmp_path: Path) -> None:
    lines = [json.loads(line) for line in filled.export_lines()]
    lines[0] |= {"format": 2, "schema_revision": "0002"}
    assert [turn.pop("generation") for turn in lines[-1]["turns"]] == [3]
    with open_store(str(tmp_path / "other.db")) as other:
        other.import_lines(raw([json.dumps(line) for line in lines]))
        assert [turn.generation for turn in other.episode("e4").turns] == [0]


def test_what_a_narrowed_export_holds_is_part_of_something_in_it(store: Store, tmp_path: Path) -> None:
    run = store.add_run("r", {})
    store.add_episode(run, an_episode("e1"))
    store.admit([NewExperience("e", "s", "open the drawer", "skill", 1.0)])
    store.admit([NewExperience("e", "s", "open the drawer!", "skill", 1.0, episode="e1")])
    store.add([NewExperience("e", "s", "something else", "skill", 1.0)])
    lines = list(store.export_lines(run=run))
    assert [json.loads(line)["advice"] for line in lines[1:3]] == ["open the drawer", "open the drawer!"]
    with open_store(str(tmp_path / "other.db")) as other:
        assert other.import_lines(raw(lines))["experience"] == 2
