"""The official ALFWorld games as an environment plays and serves them, whole and damaged."""

from __future__ import annotations

import json
import shutil

import pytest
from twins import PACK

from envserver.catalogue import BadOption
from envserver.check import check
from envserver.client import Gym
from envserver.envs._alfworld.goals import TYPES
from envserver.envs._alfworld.keys import SPLITS, GeneratedKey
from envserver.envs._alfworld.making import make
from envserver.envs._alfworld.row import GameUnreadable
from envserver.envs.alfworld import Alfworld
from envserver.errors import UnknownTask, WorldFailed
from envserver.launch import launch
from envserver.schema import Task
from envserver.workers.base import Served, Worlds

SIMPLE = "generated/pick_and_place_simple/train/0000"
PEOPLE = ["Put it away.", " Tidy up,\n please. ", "Do it"]


def opened(key=SIMPLE, seed=0, **options):
    env = Alfworld(Alfworld.Config(**options))
    return env, env.reset(Task(env="alfworld", key=key, seed=seed))


def listed(split, **options):
    return Alfworld.tasks(Alfworld.Config(**options), split)


def types_of(keys):
    return {key.split("/")[2].partition("-")[0] for key in keys}


@pytest.fixture(scope="module")
def official(tmp_path_factory):
    """A directory as alfworld-download leaves it, out of generated games, one of each type in each split."""
    root = tmp_path_factory.mktemp("alfworld")
    for number, (split, task_type) in enumerate([(split, kind) for split in SPLITS for kind in TYPES]):
        row, _ = make(GeneratedKey(task_type, split, number))
        params = row.params
        task = f"{task_type}-{params['object_target']}-None-{params['parent_target'] or params['toggle_target']}-7"
        place = root / "json_2.1.1" / split / task / f"trial_{number}"
        place.mkdir(parents=True)
        grammar = f'grammar :: """ {{"intro": [{{"rhs": "You see.\\n\\nYour task is to: {row.task}."}}]}} """'
        game = {"pddl_domain": "", "grammar": grammar, "pddl_problem": row.problem, "solvable": True}
        (place / "game.tw-pddl").write_text(json.dumps(game))
        anns = [{"task_desc": said} for said in PEOPLE]
        told = {"task_type": task_type, "pddl_params": dict(params), "turk_annotations": {"anns": anns}}
        (place / "traj_data.json").write_text(json.dumps(told))
    return root


def test_a_client_may_repeat_but_not_choose_what_is_the_servers(tmp_path, official):
    worlds = Worlds({"alfworld": Served(Alfworld, {"data": str(official)})}, 100)
    for name, value in (("data", str(tmp_path)), ("engine", "stock"), ("cache_dir", str(tmp_path))):
        with pytest.raises(UnknownTask, match=f"'{name}' is the server's own"):
            worlds.open(1, Task(env="alfworld", key=SIMPLE, options={name: value}))
    assert worlds.open(2, Task(env="alfworld", key=SIMPLE, options={"data": str(official)})).over is False
    worlds.close_all()


def test_official_games_are_played(official):
    keys = listed("train", family="official", data=official)
    assert types_of(keys) == set(TYPES)
    assert len(listed("valid_seen", family="official", data=official, types=[1, 2])) == 2
    for key in keys:
        env, result = opened(key, data=official)
        while not result.over:
            result = env.step(env.expert())
        assert result.success is True
        assert result.info["task_type"] in key


def test_a_person_s_words_are_chosen_by_the_seed(official):
    key = listed("train", family="official", data=official)[0]
    sentences = []
    for seed in range(4):
        _, result = opened(key, seed=seed, data=official, goal="annotation")
        sentences.append(result.observation.text.partition("Your task is to: ")[2])
    assert sentences == ["Put it away.", "Tidy up, please.", "Do it.", "Put it away."]
    assert opened(key, data=official)[1].observation.text.partition("Your task is to: ")[2] not in sentences
    assert opened(goal="annotation")[1] == opened()[1]


def test_without_data_an_official_listing_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("ALFWORLD_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(BadOption, match="run alfworld-download, start the server with the option data"):
        listed("train", family="official")
    with pytest.raises(KeyError, match="run alfworld-download"):
        opened(f"official/train/{TYPES[0]}-Mug-None-Desk-7/trial_1")


def test_a_game_that_is_won_or_lost_at_its_start_is_refused(tmp_path):
    row, _ = make(GeneratedKey("pick_and_place_simple", "train", 0))
    begun = row.problem.partition("(:goal")[0]
    anything = f"{begun}(:goal (exists (?r - receptacle ?o - object) (inReceptacle ?o ?r)))\n)"
    stuck = "\n".join(line for line in row.problem.splitlines() if not line.startswith("(pickupable "))
    for problem, why in ((anything, "is won before it begins"), (stuck, "cannot be won, whatever its flag says")):
        told = {
            "task": row.task,
            "task_type": row.task_type,
            "params": dict(row.params),
            "anns": [],
            "problem": problem,
        }
        data = tmp_path / f"{len(why)}.jsonl"
        data.write_text(json.dumps({"id": "train/pick_and_place_simple-Box-None-Sofa-220/trial_1", **told}))
        with pytest.raises(GameUnreadable, match=why):
            opened(listed("train", family="official", data=data)[0], data=data)


def test_official_games_keep_the_rules(official):
    findings = check(Alfworld, Alfworld.Config(family="official", data=official), tasks_per_split=1, steps=12)
    assert not findings, findings


@pytest.mark.slow
@pytest.mark.skipif(not PACK.is_file(), reason="needs ALFWorld's official games: $TURNHALLE_ALFWORLD_TESTDATA")
def test_every_official_valid_seen_game_is_won_by_the_expert(tmp_path):
    options = {"family": "official", "data": PACK, "cache_dir": tmp_path}
    assert len(listed("train", **options)) == 3553
    keys = listed("valid_seen", **options)
    assert len(keys) == 140
    for key in keys:
        env, result = opened(key, **options)
        while not result.over:
            result = env.step(env.expert())
        assert result.success is True


async def test_a_served_world_survives_damaged_games_and_hostile_commands(official, tmp_path):
    root = shutil.copytree(official, tmp_path / "data")
    for game in root.glob("json_2.1.1/valid_seen/*/trial_11/game.tw-pddl"):
        game.write_text(game.read_text().replace("(:goal", "(:gaol"))
    shutil.rmtree(root / "json_2.1.1" / "valid_unseen")
    options = {"alfworld": {"family": "official", "data": str(root)}}
    with launch(["alfworld"], workers=1, expert=True, env_options=options, log=tmp_path / "log") as server:
        async with Gym(server.url, timeout_s=20) as gym:
            page = await gym.tasks("alfworld", "valid_seen")
            damaged = next(key for key in page.keys if key.endswith("trial_11"))
            with pytest.raises(WorldFailed, match="GameUnreadable"):
                await gym.open(Task(env="alfworld", key=damaged))
            with pytest.raises(UnknownTask, match="no such game; it has train 6, valid_seen 6"):
                await gym.open(Task(env="alfworld", key=damaged.replace("valid_seen", "valid_unseen")))
            with pytest.raises(UnknownTask, match="no task type 9"):
                await gym.open(Task(env="alfworld", key=SIMPLE, options={"types": [9]}))
            async with await gym.open(Task(env="alfworld", key=SIMPLE)) as world:
                for text in ("look " * 200_000, "\x00\x1b[2J", "开门 🚪", "../../etc/passwd", "quit", "restart"):
                    assert (await world.step(text)).observation.text == "Nothing happens."
                fork = await world.fork()
                while not fork.over:
                    await fork.step(await fork.expert())
                assert fork.result.success is True
                assert not world.over
            workers = (await gym.health()).workers
            assert len(workers) == 1


async def test_a_server_whose_data_cannot_be_read_says_so(tmp_path):
    options = {"alfworld": {"family": "official", "data": str(tmp_path)}}
    with launch(["alfworld", "keydoor"], workers=1, env_options=options, log=tmp_path / "log") as server:
        async with Gym(server.url, timeout_s=20) as gym:
            with pytest.raises(Exception, match="holds no ALFWorld data"):
                await gym.open(Task(env="alfworld", key=SIMPLE))
            async with await gym.open(Task(env="keydoor", key="doors-3/train/0001")) as world:
                assert not world.over
