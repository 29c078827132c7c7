"""Games that are made from their key: alike everywhere, in their split's rooms, winnable."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from collections import Counter

import pytest

from envserver.envs._alfworld.goals import GOALS, TYPES
from envserver.envs._alfworld.keys import ROOMS, SPLITS, GeneratedKey
from envserver.envs._alfworld.making import make
from envserver.envs._alfworld.oracle import plan
from envserver.envs._alfworld.play import Play
from envserver.envs._alfworld.rooms import rooms


def furniture(text):
    """The receptacles of a problem, which tell its room."""
    return frozenset(line.split()[1] for line in text.splitlines() if line.startswith("(receptacleType "))


def mangled(room):
    signs = {"|": "_bar_", "+": "_plus_", "-": "_minus_", ".": "_dot_"}
    return frozenset("".join(signs.get(sign, sign) for sign in receptacle.id) for receptacle in room.receptacles)


def test_the_rooms_are_alfreds():
    table = rooms()
    kinds = Counter(room.number // 100 for room in table.train)
    assert kinds == {0: 24, 2: 24, 3: 24, 4: 24}
    assert Counter(room.number // 100 for room in table.held_out) == {0: 6, 2: 6, 3: 6, 4: 6}
    assert sorted(room.number for room in table.held_out if room.number < 100) == [1, 2, 3, 4, 5, 6]
    kitchen = next(room for room in table.train if room.number == 7)
    assert Counter(receptacle.kind for receptacle in kitchen.receptacles)["Cabinet"] == 13
    assert table.affordances.holds["CoffeeMachine"] == ("Mug",)
    assert "Mug" in table.affordances.can["heatable"]
    assert "Fridge" in table.affordances.openable


def test_the_table_is_what_the_package_says():
    pytest.importorskip("alfworld", reason="needs the extra [alfworld]")
    import json
    import lzma
    from importlib import resources

    from envserver.envs._alfworld.derive import derive

    packed = resources.files("envserver.envs._alfworld").joinpath("rooms.json.xz").read_bytes()
    assert json.loads(lzma.decompress(packed)) == json.loads(json.dumps(derive()))


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task_type", TYPES)
def test_a_game_is_in_a_room_of_its_split_and_can_be_won(task_type, split):
    shelf = {mangled(room) for room in (rooms().held_out if split == "valid_unseen" else rooms().train)}
    for number in range(8):
        row, game = make(GeneratedKey(task_type, split, number))
        assert (row.id, row.task_type) == (f"generated/{task_type}/{split}/{number:04d}", task_type)
        assert furniture(row.problem) in shelf
        play = Play(game)
        assert not play.won
        assert f"Your task is to: {row.task}." in play.text
        commands = plan(play)
        assert 2 <= len(commands) <= 20
        for command in commands:
            assert not play.won
            play.step(command)
            assert play.moved, command
        assert play.won


@pytest.mark.parametrize("task_type", TYPES)
def test_a_goal_says_what_its_parameters_say(task_type):
    for number in range(12):
        row, _ = make(GeneratedKey(task_type, "train", number))
        thing, target, lamp = (row.params[f"{part}_target"] for part in ("object", "parent", "toggle"))
        assert thing.lower() in row.task
        assert (target or lamp).lower() in row.task
        assert bool(lamp) == (task_type == "look_at_obj_in_light")
        if target:
            assert thing in rooms().affordances.holds[target]
            assert target != GOALS[task_type].station
        if GOALS[task_type].change:
            assert thing in rooms().affordances.can[GOALS[task_type].change]


def test_whatever_is_taken_can_be_put_back():
    for task_type in TYPES:
        row, game = make(GeneratedKey(task_type, "train", 3))
        play = Play(game)
        seen = 0
        for place in [command for command in play.admissible() if command.startswith("go to ")]:
            play.step(place)
            play.step(place.replace("go to", "open"))
            for take in [command for command in play.admissible() if command.startswith("take ")]:
                held = play.copy()
                held.step(take)
                back = f"move {take.removeprefix('take ').replace(' from ', ' to ')}"
                assert back in held.admissible(), (row.id, take)
                seen += 1
        assert seen > 10


@pytest.mark.parametrize("family", ROOMS)
def test_a_kind_of_room_has_just_the_furniture_that_is_said(family):
    shelves = {"train": rooms().train, "valid_unseen": rooms().held_out}
    for task_type in TYPES:
        for split, shelf in shelves.items():
            key = GeneratedKey(task_type, split, 0, family)
            if task_type in ROOMS[family]:
                row, _ = make(key)
                assert furniture(row.problem) in [mangled(room) for room in shelf if room.kind == family]
            else:
                with pytest.raises((IndexError, AssertionError)):
                    make(key)


def test_a_key_makes_the_same_game_in_any_process():
    keys = [GeneratedKey(task_type, split, 7) for task_type in TYPES for split in SPLITS]
    code = (
        "import hashlib; from envserver.envs._alfworld.keys import parse\n"
        "from envserver.envs._alfworld.making import make\n"
        f"keys = [parse(key) for key in {[str(key) for key in keys]!r}]\n"
        "print(hashlib.sha256(repr([make(key)[0] for key in keys]).encode()).hexdigest())"
    )
    mine = hashlib.sha256(repr([make(key)[0] for key in keys]).encode()).hexdigest()
    for hash_seed in ("1", "2"):
        env = {**os.environ, "PYTHONHASHSEED": hash_seed}
        told = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
        assert told.stdout.strip() == mine


def test_a_key_makes_the_same_game_in_any_version():
    rows = [make(GeneratedKey(task_type, "valid_unseen", number))[0] for number, task_type in enumerate(TYPES)]
    digests = [hashlib.sha256((row.task + row.problem).encode()).hexdigest()[:8] for row in rows]
    assert digests == ["e9b86f38", "e28b4364", "da7f3280", "9bb5e418", "da9a3ce5", "b9d64e0d"]


def test_making_needs_no_package():
    code = (
        "import sys; from envserver.envs.alfworld import Alfworld; from envserver.schema import Task\n"
        "env = Alfworld(Alfworld.Config()); key = Alfworld.tasks(env.config, 'train')[0]\n"
        "env.reset(Task(env='alfworld', key=key))\n"
        "env.expert()\n"
        "assert not {'alfworld', 'textworld', 'fast_downward', 'tatsu', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_no_two_keys_make_the_same_game():
    problems = {
        make(GeneratedKey(task_type, split, number))[0].problem.partition("(:domain")[2]
        for task_type in TYPES
        for split in SPLITS
        for number in range(8)
    }
    assert len(problems) == 6 * 3 * 8


@pytest.mark.slow
def test_thousands_of_games_are_made_and_won():
    lengths: dict[str, list[int]] = {task_type: [] for task_type in TYPES}
    for task_type in TYPES:
        for split in SPLITS:
            for number in range(300):
                _, game = make(GeneratedKey(task_type, split, number))
                lengths[task_type].append(len(plan(Play(game))))
    assert all(max(found) <= 20 for found in lengths.values())
    assert sum(map(len, lengths.values())) == 5400
