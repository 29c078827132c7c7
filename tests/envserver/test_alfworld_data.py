"""Official ALFWorld games as they lie on disk: whole, half there, damaged, of another version."""

from __future__ import annotations

import json
import lzma
import os
import sys

import pytest

from envserver.envs._alfworld import data as shelf
from envserver.envs._alfworld.data import DataUnreadable, open_data
from envserver.envs._alfworld.goals import TYPES
from envserver.envs._alfworld.index import Index, told
from envserver.envs._alfworld.keys import OfficialKey, generated, official, parse, split_of
from envserver.envs._alfworld.row import GameUnreadable

SIMPLE = "pick_and_place_simple-Box-None-Sofa-220"
TWO = "pick_two_obj_and_place-Mug-None-Desk-301"
TRIAL = "trial_T20190907_165608_878138"


def game(**changes):
    said = '"rhs": "Your task is to: put a box in sofa."'
    return {
        "pddl_domain": "(d)",
        "grammar": said,
        "pddl_problem": "(p)",
        "solvable": True,
        "walkthrough": None,
    } | changes


def trajectory(**changes):
    anns = [{"task_desc": "Put the box on the couch."}, {"task_desc": "Move a box."}]
    return {
        "task_type": "pick_and_place_simple",
        "pddl_params": {"object_target": "Box"},
        "turk_annotations": {"anns": anns},
    } | changes


def row(name=f"train/{SIMPLE}/{TRIAL}", **changes):
    return {
        "id": name,
        "task": "put a box in sofa",
        "task_type": "pick_and_place_simple",
        "params": {"object_target": "Box"},
        "anns": ["Put the box on the couch.", "Move a box."],
        "problem": "(p)",
    } | changes


@pytest.fixture
def folder(tmp_path):
    """Writes trials into a directory as alfworld-download leaves it."""
    root = tmp_path / "data"
    root.mkdir()

    def put(name=f"train/{SIMPLE}/{TRIAL}", found=None, told_by=None):
        place = root / "json_2.1.1" / name
        place.mkdir(parents=True)
        for file, content in (("game.tw-pddl", found or game()), ("traj_data.json", told_by or trajectory())):
            (place / file).write_text(content if isinstance(content, str) else json.dumps(content))
        return place

    put.root = root
    return put


def key(text=f"official/train/{SIMPLE}/{TRIAL}"):
    found = parse(text)
    assert isinstance(found, OfficialKey)
    return found


def test_a_directory_and_a_packed_file_of_the_same_games_are_the_same(folder, tmp_path):
    folder()
    folder(f"valid_seen/{TWO}/{TRIAL}", told_by=trajectory(task_type="pick_two_obj_and_place"))
    rows = [row(), row(f"valid_seen/{TWO}/{TRIAL}", task_type="pick_two_obj_and_place")]
    lines = "".join(json.dumps(one) + "\n" for one in rows)
    (tmp_path / "games.jsonl").write_text(lines)
    (tmp_path / "games.jsonl.xz").write_bytes(lzma.compress(lines.encode()))
    sets = [open_data(tmp_path / name, tmp_path / "cache") for name in ("data", "games.jsonl", "games.jsonl.xz")]
    for found in sets:
        assert [found.ids(split) for split in ("train", "valid_seen", "valid_unseen")] == [
            [f"train/{SIMPLE}/{TRIAL}"],
            [f"valid_seen/{TWO}/{TRIAL}"],
            [],
        ]
        one = found.row(key())
        assert (one.task, one.anns) == ("put a box in sofa", ("Put the box on the couch.", "Move a box."))
        assert one == sets[0].row(key())
        assert found.row(key(f"official/valid_seen/{TWO}/{TRIAL}")).task_type == "pick_two_obj_and_place"


def test_what_alfworld_leaves_out_is_not_listed(folder):
    folder()
    for task in (
        "pick_and_place_with_movable_recep-Pen-Mug-Desk-301",
        "pick_heat_then_place_in_recep-AppleSliced-None-Fridge-1",
    ):
        folder(f"train/{task}/{TRIAL}")
    folder(f"valid_train/{SIMPLE}/{TRIAL}")
    found = open_data(folder.root, None)
    assert len(found.index) == 1
    assert not found.index.skipped


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (game(solvable=False), "not marked solvable"),
        (game(solvable=None), "not marked solvable"),
        ({"pddl_problem": "(p)"}, "not marked solvable"),
        (json.dumps(game())[:-20], "ends in the middle"),
        (" ", "ends in the middle"),
    ],
)
def test_a_game_that_is_unsolvable_or_half_there_is_skipped_and_says_why(folder, content, why):
    folder()
    folder(f"train/{TWO}/{TRIAL}", content)
    found = open_data(folder.root, None)
    assert found.ids("train") == [f"train/{SIMPLE}/{TRIAL}"]
    with pytest.raises(KeyError, match=why):
        found.row(key(f"official/train/{TWO}/{TRIAL}"))


def test_a_long_walkthrough_does_not_hide_the_flag(folder):
    folder(found=game(walkthrough=["go to desk 1"] * 2000))
    assert len(open_data(folder.root, None).index) == 1


@pytest.mark.parametrize(
    ("found", "told_by", "why"),
    [
        ('{"solvable": true, no JSON}', None, "not JSON"),
        ('["solvable", {"solvable": true}, {}', None, "not JSON"),
        (json.dumps({"solvable": True}), None, "no 'pddl_problem'"),
        (game(pddl_problem=7), None, "no 'pddl_problem'"),
        (game(grammar="none"), None, "no 'Your task is to"),
        (None, "{", "not JSON"),
        (None, "[]", "not a JSON object"),
        (None, {"task_type": "pick_and_place_simple"}, "no 'pddl_params'"),
        (None, trajectory(task_type=None), "no 'task_type'"),
    ],
)
def test_a_damaged_game_is_refused_in_a_sentence_when_it_is_opened(folder, found, told_by, why):
    folder(found=found, told_by=told_by)
    with pytest.raises(GameUnreadable, match=why) as refused:
        open_data(folder.root, None).row(key())
    assert SIMPLE in str(refused.value)


def test_a_game_without_its_trajectory_is_refused(folder):
    (folder() / "traj_data.json").unlink()
    with pytest.raises(GameUnreadable, match=r"traj_data\.json cannot be read"):
        open_data(folder.root, None).row(key())


def test_people_s_words_may_be_missing(folder):
    folder(told_by=trajectory(turk_annotations=None))
    assert open_data(folder.root, None).row(key()).anns == ()


def test_a_directory_without_games_says_what_is_missing(folder, tmp_path):
    with pytest.raises(DataUnreadable, match="none of the directories train"):
        open_data(folder.root, None)
    (folder.root / "json_2.1.1_json.zip").write_bytes(b"")
    with pytest.raises(DataUnreadable, match=r"json_2\.1\.1_json\.zip, which is not unpacked"):
        open_data(folder.root, None)
    place = folder()
    (place / "game.tw-pddl").unlink()
    with pytest.raises(DataUnreadable, match=r"1 games: it has no game\.tw-pddl"):
        open_data(folder.root, None)
    with pytest.raises(DataUnreadable, match=r"are not at .*No such file"):
        open_data(tmp_path / "nowhere", None)
    (tmp_path / "games.zip").write_bytes(b"PK")
    with pytest.raises(DataUnreadable, match="give a directory"):
        open_data(tmp_path / "games.zip", None)


def test_a_directory_that_cannot_be_read_is_an_error_and_not_an_empty_one(folder, monkeypatch):
    folder()

    def refuse(path):
        raise PermissionError(13, "Permission denied", str(path))

    for name in ("scandir", "listdir"):
        monkeypatch.setattr(os, name, refuse)
        with pytest.raises(DataUnreadable, match="Permission denied"):
            open_data(folder.root, None)


def test_data_that_was_mended_is_read_again(folder):
    with pytest.raises(DataUnreadable):
        open_data(folder.root, None)
    folder()
    assert len(open_data(folder.root, None).index) == 1


def test_the_data_are_where_the_package_looks_for_them(folder, monkeypatch):
    folder()
    monkeypatch.setenv("ALFWORLD_DATA", str(folder.root))
    assert len(open_data(None, None).index) == 1


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (json.dumps(row(solvable=False)), "not marked solvable"),
        (json.dumps(row())[:-9], "ends in the middle"),
    ],
)
def test_a_packed_game_that_cannot_be_played_is_skipped_and_says_why(tmp_path, line, why):
    other = json.dumps(row(f"train/{TWO}/{TRIAL}", anns=[]))
    (tmp_path / "games.jsonl").write_text(f"{line}\n\n{other}")
    found = open_data(tmp_path / "games.jsonl", None)
    assert found.row(key(f"official/train/{TWO}/{TRIAL}")).anns == ()
    with pytest.raises(KeyError, match=why):
        found.row(key())


@pytest.mark.parametrize("lacks", ["task", "task_type", "params", "anns", "problem"])
def test_a_packed_game_that_lacks_a_key_is_refused(tmp_path, lacks):
    (tmp_path / "games.jsonl").write_text(json.dumps(row(**{lacks: None})))
    with pytest.raises(GameUnreadable, match=f"no '{lacks}'"):
        open_data(tmp_path / "games.jsonl", None).row(key())


def test_a_packed_game_that_is_not_json_is_refused(tmp_path):
    (tmp_path / "games.jsonl").write_text(json.dumps(row()).replace('"task":', '"task"'))
    with pytest.raises(GameUnreadable, match="not JSON"):
        open_data(tmp_path / "games.jsonl", None).row(key())


def test_a_damaged_archive_is_refused_and_leaves_nothing(tmp_path):
    whole = lzma.compress(os.urandom(4000))
    for content in (b"no archive", whole[:-500], whole):
        (tmp_path / "games.jsonl.xz").write_bytes(content)
        with pytest.raises(DataUnreadable, match=r"half there|no game that can be played"):
            open_data(tmp_path / "games.jsonl.xz", tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("*.part"))


def test_an_archive_that_changed_is_unpacked_again(tmp_path):
    path, cache = tmp_path / "games.jsonl.xz", tmp_path / "cache"
    for task in (SIMPLE, TWO):
        path.write_bytes(lzma.compress(json.dumps(row(f"train/{task}/{TRIAL}")).encode()))
        shelf._open.cache_clear()
        assert open_data(path, cache).ids("train") == [f"train/{task}/{TRIAL}"]
    # A server that indexed the older one still reads it.
    assert len(list(cache.glob("*.jsonl"))) == len(list(cache.iterdir())) == 2


def test_a_cache_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "games.jsonl.xz").write_bytes(lzma.compress(json.dumps(row()).encode()))
    (tmp_path / "cache").write_text("in the way")
    with pytest.raises(DataUnreadable, match=r"cannot be unpacked into .*cache: File exists"):
        open_data(tmp_path / "games.jsonl.xz", tmp_path / "cache")


def test_a_game_that_is_not_there_is_named_by_what_is(folder):
    folder()
    with pytest.raises(KeyError, match="no such game; it has train 1"):
        open_data(folder.root, None).row(key(f"official/valid_unseen/{SIMPLE}/{TRIAL}"))


@pytest.mark.parametrize(
    "text",
    [
        "official/train",
        f"official/test/{SIMPLE}/{TRIAL}",
        f"official/train/{SIMPLE}/..",
        f"official/train/../{TRIAL}",
        f"official/train/{SIMPLE}/{TRIAL}/x",
        f"official/train/nothing-Box-None-Sofa-220/{TRIAL}",
        "generated/pick_and_place_simple/train/10000",
        "generated/pick_and_place_simple/train/7",
        "generated/pick_and_place_simple/train/٠٠٠٠",
        "generated/pick_and_place/train/0000",
        "generated/pick_and_place_simple/test/0000",
        "train/0000",
        "",
    ],
)
def test_a_wrong_key_is_refused_in_a_sentence(text):
    with pytest.raises(KeyError) as refused:
        parse(text)
    assert len(refused.value.args[0]) > 20


def test_every_prefix_of_a_listing_mixes_the_types():
    keys = generated("train", tuple((name, 1.0) for name in TYPES))
    assert len(keys) == len(set(keys)) == 10_000
    assert [key.split("/")[1] for key in keys[:6]] == list(TYPES)
    weighed = generated("valid_seen", (("pick_and_place_simple", 3.0), ("look_at_obj_in_light", 1.0)))
    assert sum("simple" in key for key in weighed[:40]) == 30
    assert [str(parse(key)) for key in keys[:7]] == list(keys[:7])


def test_official_games_are_listed_by_type_and_weight_as_long_as_they_last():
    ids = [f"train/{SIMPLE}/trial_{n}" for n in range(30)] + [f"train/{TWO}/trial_{n}" for n in range(10)]
    assert all(split_of(name) == "train" for name in ids)
    both = (("pick_and_place_simple", 1.0), ("pick_two_obj_and_place", 1.0))
    keys = official(ids, both, by_weight=False)
    assert sorted(keys) == sorted(f"official/{name}" for name in ids)
    assert keys == official(ids[::-1], both, by_weight=False)
    assert 1 <= sum("pick_two" in key for key in keys[:12]) <= 6
    even = official(ids, both, by_weight=True)
    assert sum("pick_two" in key for key in even[:20]) == 10
    assert sorted(even) == sorted(keys)
    assert len(official(ids, both[1:], by_weight=False)) == 10


def test_reasons_are_counted():
    index = Index(skipped={"a": "late", "b": "late", "c": "early"})
    assert index.reasons() == "2 games: late, 1 games: early"


def test_a_bar_is_drawn_where_it_takes_long_and_a_person_watches(monkeypatch, capsys):
    assert len(list(told("unpacking", 3, [1, 1, 1]))) == 3
    monkeypatch.setattr("envserver.envs._alfworld.index.PATIENCE_S", -1.0)
    list(told("unpacking", 3, [1, 1, 1]))
    assert capsys.readouterr().err == ""
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert len(list(told("unpacking", 3, [1, 1, 1]))) == 3
    assert "unpacking" in capsys.readouterr().err
