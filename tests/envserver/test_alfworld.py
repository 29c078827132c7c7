"""ALFWorld as an environment: play, rewards, experts, listings, options, both engines."""

from __future__ import annotations

import gc
import random
import subprocess
import sys

import psutil
import pytest

from envserver.catalogue import BadOption, configured
from envserver.client import Gym
from envserver.envs import alfworld
from envserver.envs._alfworld.goals import TYPES
from envserver.envs._alfworld.keys import SPLITS
from envserver.envs.alfworld import Alfworld
from envserver.launch import launch
from envserver.schema import Action, Task

SIMPLE = "generated/pick_and_place_simple/train/0000"
CLEAN = "generated/pick_clean_then_place_in_recep/valid_unseen/0004"


def opened(key=SIMPLE, seed=0, **options):
    env = Alfworld(Alfworld.Config(**options))
    return env, env.reset(Task(env="alfworld", key=key, seed=seed))


def listed(split, **options):
    return Alfworld.tasks(Alfworld.Config(**options), split)


def types_of(keys):
    return {key.split("/")[1] for key in keys}


def played(env, result, seed, steps=25):
    """A random player's transcript."""
    rng, seen = random.Random(seed), [result]
    while not result.over and len(seen) <= steps:
        result = env.step(Action(text=rng.choice(result.observation.choices)))
        seen.append(result)
    return seen


def test_the_catalogue_does_not_import_the_package():
    code = (
        "import sys; from envserver import catalogue\n"
        "kind = catalogue.load_env('alfworld'); card = catalogue.card('alfworld', kind, {})\n"
        "assert card.splits == {'train': 10000, 'valid_seen': 1000, 'valid_unseen': 1000}, card.splits\n"
        "assert not {'alfworld', 'textworld', 'tatsu', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("split", SPLITS)
@pytest.mark.parametrize("task_type", TYPES)
def test_the_expert_wins_every_type_in_every_split(task_type, split):
    env, result = opened(f"generated/{task_type}/{split}/0001")
    assert result.info == {"task_type": task_type}
    while not result.over:
        action = env.expert()
        assert action.text in result.observation.choices
        result = env.step(action)
        assert result.info == {"task_type": task_type, "admissible": True}
    assert (result.success, result.terminated, result.reward) == (True, True, 1.0)
    assert result.observation.choices == []
    assert env.expert() is None


def test_the_expert_wins_from_wherever_a_player_has_wandered():
    for seed in range(6):
        env, result = opened(CLEAN, max_steps=200)
        result = played(env, result, seed, steps=40)[-1]
        while not result.over:
            result = env.step(env.expert())
        assert result.success is True


@pytest.mark.parametrize("task_type", TYPES)
def test_the_searching_expert_takes_only_what_it_has_seen(task_type):
    for number in range(6):
        env, result = opened(f"generated/{task_type}/valid_unseen/{number:04d}", expert="search", max_steps=100)
        told = ""
        while not result.over:
            action = env.expert()
            assert action == env.expert()
            if action.text.startswith("take "):
                thing, _, place = action.text.removeprefix("take ").partition(" from ")
                shown = next(text for text in reversed(told.split("\n")) if place in text and "you see" in text)
                assert f"a {thing}," in shown or f"a {thing}." in shown
            result = env.step(action)
            assert result.info["admissible"]
            told += result.observation.text + "\n"
        assert result.success is True


def test_the_searching_expert_looks_into_each_of_several_receptacles_in_one_place():
    """Two in one place: the first is gone to, the second examined or opened where one stands."""
    commands = set()
    for number in range(12):
        env, result = opened(f"generated/pick_cool_then_place_in_recep/train/{number:04d}", expert="search")
        while not result.over:
            commands.add(env.expert().text.partition(" ")[0])
            result = env.step(env.expert())
    assert {"go", "open", "examine", "take", "cool", "move"} <= commands


def test_a_copy_of_a_search_has_seen_what_the_original_has():
    env, _ = opened(CLEAN, expert="search")
    for _ in range(5):
        env.step(env.expert())
    twin = env.copy()
    assert twin.expert() == env.expert()
    env.step(env.expert())
    assert (twin.seen, twin.steps) == (twin.seen & env.seen, env.steps - 1)


@pytest.mark.parametrize("reward", ["sparse", "dense"])
@pytest.mark.parametrize("detour", [0, 12])
def test_the_rewards_of_a_won_game_sum_to_one(reward, detour):
    env, result = opened(CLEAN, reward=reward)
    seen = played(env, result, seed=3, steps=detour)
    while not seen[-1].over:
        seen.append(env.step(env.expert()))
    rewards = [result.reward for result in seen]
    assert seen[-1].success is True
    assert sum(rewards) == pytest.approx(1.0)
    assert all(reward >= 0 for reward in rewards)
    assert sum(reward > 0 for reward in rewards) == (1 if reward == "sparse" else env.start)


def test_going_to_and_fro_earns_a_dense_reward_once():
    env, _ = opened(reward="dense")
    first = env.expert()
    assert env.step(first).reward == pytest.approx(1 / env.start)
    away = next(one for one in env.play.admissible() if one.startswith("go to ") and one != first.text)
    assert [env.step(Action(text=text)).reward for text in (away, first.text, away, first.text)] == [0, 0, 0, 0]


def test_the_step_limit_cuts_and_fails():
    env, result = opened(max_steps=3)
    for _ in range(3):
        assert not result.over
        result = env.step(Action(text="look"))
    assert (result.truncated, result.terminated, result.success, result.reward) == (True, False, False, 0.0)
    assert result.observation.choices == []


def test_fifty_steps_are_the_default():
    env, result = opened()
    assert len(played(env, result, seed=11, steps=100)) <= 51
    assert env.config.max_steps == 50


def test_a_refused_command_costs_a_step_and_is_called_inadmissible():
    env, before = opened()
    for text in ("xyzzy", "", "take mug 99 from sofa 1", "go to nowhere", "look\nlook", "x" * 600, "\x00", "quit"):
        result = env.step(Action(text=text))
        assert result.observation.text == "Nothing happens."
        assert result.info["admissible"] is False
        assert result.observation.choices == before.observation.choices
    assert env.step(Action(tool="look")).info["admissible"] is False
    assert env.steps == 9
    assert env.step(Action(text="inventory")).info["admissible"] is True


def test_choices_are_shown_or_not_and_nothing_else_changes():
    shown, hidden = opened(), opened(admissible=False)
    for action in (Action(text="look"), Action(text="inventory")):
        one, other = shown[0].step(action), hidden[0].step(action)
        assert one.observation.choices
        assert other.observation.choices == []
        assert one.observation.text == other.observation.text


def test_a_copy_goes_its_own_way():
    env, result = opened(CLEAN)
    seen = played(env, result, seed=1, steps=8)
    twin = env.copy()
    ours, theirs = played(env, seen[-1], seed=2), played(twin, seen[-1], seed=3)
    assert ours != theirs
    for seed, went in ((2, ours), (3, theirs)):
        again, result = opened(CLEAN)
        replayed = played(again, result, seed=1, steps=8)
        assert replayed == seen
        assert played(again, replayed[-1], seed=seed) == went


def test_both_dialects_are_played():
    for dialect, verb in (("0.4", "move"), ("0.2", "put")):
        env, result = opened(dialect=dialect)
        commands = []
        while not result.over:
            commands.append(env.expert().text)
            result = env.step(env.expert())
        assert result.success is True
        assert commands[-1].startswith(f"{verb} ")


def test_types_are_listed_by_name_or_number():
    assert types_of(listed("train", types=[1, "pick_cool_then_place_in_recep"])) == {TYPES[0], TYPES[4]}
    assert types_of(listed("valid_seen")) == set(TYPES)
    weighed = listed("train", types=[2, 6], mixture=[1, 4])
    assert sum("pick_two" in key for key in weighed[:50]) == 40
    with pytest.raises(KeyError, match="no split 'test'"):
        listed("test")


def test_a_kind_of_room_lists_what_it_has_the_furniture_for():
    assert types_of(listed("train", family="bathroom")) == {TYPES[0], TYPES[2], TYPES[5]}
    assert types_of(listed("valid_unseen", family="bathroom", held_out=[6])) == {TYPES[5]}
    assert all(key.startswith("bedroom/") for key in listed("train", family="bedroom", types=[1]))
    with pytest.raises(KeyError, match=r"a bedroom has no task type .*; there are: pick_and"):
        opened("bedroom/pick_heat_then_place_in_recep/train/0000")


def test_held_out_types_are_in_the_unseen_split_alone():
    held_out = [5, 6]
    assert types_of(listed("train", held_out=held_out)) == set(TYPES[:4])
    assert types_of(listed("valid_seen", held_out=held_out)) == set(TYPES[:4])
    assert types_of(listed("valid_unseen", held_out=held_out)) == set(TYPES[4:])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"types": [7]}, "no task type 7; there are: 1 pick_and_place_simple"),
        ({"types": ["pick"]}, "no task type 'pick'"),
        ({"family": "bathroom", "types": [1, 2]}, "a bathroom has nothing for look_at_obj_in_light; it has: pick_and"),
        ({"family": "bathroom", "held_out": [2]}, "not among types"),
        ({"family": "attic"}, "'generated', 'kitchen'"),
        ({"types": [1, "pick_and_place_simple"]}, "once"),
        ({"types": 3}, "give a list"),
        ({"types": [[1]]}, "no task type"),
        ({"held_out": [1], "types": [2, 3]}, "not among types"),
        ({"held_out": [1, 2], "types": [1, 2]}, "leaves no type"),
        ({"mixture": [1, 2]}, "needs 6 weights"),
        ({"types": [1, 2], "mixture": [1, 0]}, "greater than 0"),
        ({"types": [1, 2], "mixture": [1, float("nan")]}, r"less than or equal|greater than"),
        ({"expert": "handcoded"}, "engine = 'stock'"),
        ({"max_steps": 0}, "greater than or equal to 1"),
        ({"typs": [1]}, "did you mean 'types'"),
    ],
)
def test_a_wrong_option_is_refused_in_a_sentence(options, why):
    with pytest.raises(BadOption, match=why):
        configured(Alfworld, options)


@pytest.mark.slow
@pytest.mark.alfworld
def test_the_stock_engine_keeps_the_rules():
    pytest.importorskip("alfworld", reason="needs the extra [alfworld]")
    command = [sys.executable, "-m", "envserver", "check", "alfworld", "-o", "engine=stock", "--tasks", "1"]
    done = subprocess.run([*command, "--steps", "8"], capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]


def churn(sessions):
    """Open, play and close so many sessions over forty games; resident bytes afterwards."""
    keys = listed("train")[:40]
    for number in range(sessions):
        env, result = opened(keys[number % len(keys)])
        for _ in range(4):
            result = env.step(Action(text=result.observation.choices[number % len(result.observation.choices)]))
        env.copy().close()
        env.close()
    gc.collect()
    return psutil.Process().memory_info().rss


def test_a_thousand_sessions_leave_nothing_behind():
    before = churn(200)
    assert churn(1000) - before < 8 << 20


@pytest.mark.slow
def test_ten_thousand_sessions_leave_nothing_behind():
    before = churn(1000)
    assert churn(10_000) - before < 8 << 20


def test_a_worker_keeps_so_many_games_and_no_more(monkeypatch):
    monkeypatch.setattr(alfworld, "MAX_GAMES", 3)
    alfworld.GAMES.clear()
    keys = listed("valid_seen")[:5]
    first = [opened(key)[1] for key in keys]
    assert len(alfworld.GAMES) == 3
    assert [opened(key)[1] for key in keys] == first


def test_the_stock_engine_needs_its_package(monkeypatch):
    monkeypatch.setattr(alfworld.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(BadOption, match=r"pip install 'turnhalle\[alfworld\]'"):
        configured(Alfworld, {"engine": "stock"})


@pytest.mark.alfworld
@pytest.mark.parametrize("expert", ["oracle", pytest.param("handcoded", marks=pytest.mark.slow)])
async def test_the_stock_engine_is_served_and_plays_the_same(expert, tmp_path):
    pytest.importorskip("alfworld", reason="needs the extra [alfworld]")
    options = {"alfworld": {"engine": "stock", "expert": expert, "reward": "dense"}}
    timeouts = {"open_timeout_s": 60, "call_timeout_s": 60}
    with launch(["alfworld"], workers=1, expert=True, env_options=options, log=tmp_path / "log", **timeouts) as server:
        async with Gym(server.url, timeout_s=120) as gym, await gym.open(Task(env="alfworld", key=SIMPLE)) as world:
            env, mine = opened(reward="dense")
            assert world.result == mine
            steps = 0
            while not world.over and steps < 12:
                action = (await world.expert()) or Action(text="look")
                assert await world.step(action) == env.step(action)
                steps += 1
            assert (world.result.success is True) or expert == "handcoded"
