"""Real TextWorld games: play, forks, experts, rewards, keys, nonsense."""

from __future__ import annotations

import os
import random
import shutil
import subprocess
import sys

import pytest

from envserver.config import ServerConfig
from envserver.envs._textworld.keys import SIZES, GameKey, parse
from envserver.envs.textworld import TextWorld
from envserver.errors import UnknownTask
from envserver.schema import Action, Task
from envserver.workers.base import Served, Worlds

pytestmark = pytest.mark.textworld
pytest.importorskip("textworld", reason="needs the extra [textworld]")

ROOM = "custom/w1-o5-q3/train/0002"
SHUT = "custom/w1-o5-q3/valid/0000"
TWO_ROOMS = "custom/w2-o3-q4/train/0007"


@pytest.fixture(scope="module")
def cache_dir(tmp_path_factory):
    from envserver.envs._textworld.pregenerate import generate_many

    root = tmp_path_factory.mktemp("games")
    heard = []
    keys = [ROOM, SHUT, TWO_ROOMS]
    assert generate_many(keys, root, processes=2, progress=lambda done, total: heard.append((done, total))) == {}
    assert heard == [(1, 3), (2, 3), (3, 3)]
    return root


@pytest.fixture
def open_game(cache_dir):
    opened = []

    def open_game(key=ROOM, **options):
        env = TextWorld(TextWorld.Config(cache_dir=cache_dir, **options))
        opened.append(env)
        return env, env.reset(Task(env="textworld", key=key))

    yield open_game
    for env in opened:
        env.close()


def play(env, result, seed, steps=30):
    """A random player's transcript."""
    rng, seen = random.Random(seed), [result]
    while not result.over and len(seen) <= steps:
        result = env.step(Action(text=rng.choice(result.observation.choices)))
        seen.append(result)
    return seen


def test_the_catalogue_does_not_import_the_package():
    code = (
        "import sys; from envserver import catalogue\n"
        "kind = catalogue.load_env('textworld'); card = catalogue.card('textworld', kind, {})\n"
        "assert card.splits == {'train': 10000, 'valid': 1000, 'test': 1000}, card.splits\n"
        "assert not {'textworld', 'jericho', 'tatsu', 'numpy'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("key", [ROOM, SHUT, TWO_ROOMS])
def test_play_is_the_packages_own(key, cache_dir, open_game):
    import textworld
    from textworld import EnvInfos

    from envserver.envs._textworld.play import _clean, _without_banner

    infos = EnvInfos(admissible_commands=True, inventory=True, description=True, score=True, won=True)
    package = textworld.start(str(cache_dir / "textworld-1.7.0-1" / key / "game.z8"), infos)
    for seed in range(3):
        env, result = open_game(key, show=("inventory", "description"), max_steps=40)
        state, rng = package.reset(), random.Random(seed)
        assert result.observation.text.startswith(_clean(_without_banner(state.feedback)))
        while not result.over:
            assert result.observation.choices == state.admissible_commands
            command = rng.choice([*state.admissible_commands, "take all", "look under bed", "open", "xyzzy"])
            state, score, done = package.step(command)
            result = env.step(Action(text=command))
            expected = [_clean(state.feedback), state.inventory, state.description]
            assert result.observation.text == "\n\n".join(part for part in expected if part)
            assert (result.info["score"], result.terminated, result.success is True) == (score, done, state.won)
    package.close()


PIECES = (
    "<score>\n",
    "</score>",
    "<inventory>\n",
    "</inventory>",
    "[taking]\n",
    "[",
    "]",
    "You see.\n",
    "3",
    "\n",
    "<score>",
)


def test_what_stands_between_tags_is_read_as_the_package_reads_it():
    from textworld.envs.wrappers.tw_inform7 import _detect_extra_infos

    from envserver.envs._textworld.play import _beside

    rng = random.Random(0)
    for _ in range(2000):
        printed = "".join(rng.choices(PIECES, k=rng.randrange(12)))
        infos, rest = _detect_extra_infos(printed)
        assert _beside(printed) == ({name: text for name, text in infos.items() if text is not None}, rest)


def test_sessions_of_one_game_do_not_touch_each_other(open_game):
    alone = [play(*open_game(max_steps=12), seed) for seed in range(4)]
    worlds = [open_game(max_steps=12) for _ in range(4)]
    rngs, beside = [random.Random(seed) for seed in range(4)], [[result] for _, result in worlds]
    for _ in range(12):
        for (env, _), rng, seen in zip(worlds, rngs, beside, strict=True):
            if not seen[-1].over:
                seen.append(env.step(Action(text=rng.choice(seen[-1].observation.choices))))
    assert beside == alone


def test_a_fork_goes_on_as_a_replay_does(open_game):
    env, result = open_game(TWO_ROOMS, max_steps=30)
    seen = play(env, result, seed=1, steps=6)
    twin = env.copy()
    ours, theirs = play(env, seen[-1], seed=2, steps=10), play(twin, seen[-1], seed=3, steps=10)
    env.game.forget()
    for seed, went in ((2, ours), (3, theirs)):
        again, result = open_game(TWO_ROOMS, max_steps=30)
        replayed = play(again, result, seed=1, steps=6)
        assert replayed == seen
        assert play(again, replayed[-1], seed=seed, steps=10) == went


def test_what_is_forgotten_is_played_again_alike(open_game, monkeypatch):
    from envserver.envs._textworld import play as room

    kept = [play(*open_game(TWO_ROOMS, max_steps=20), seed) for seed in range(3)]
    monkeypatch.setattr(room, "MAX_NODES", 5)
    monkeypatch.setattr(room, "MAX_SITUATIONS", 2)
    env, _ = open_game(TWO_ROOMS)
    env.game.forget()
    assert [play(*open_game(TWO_ROOMS, max_steps=20), seed) for seed in range(3)] == kept
    assert env.game.nodes <= 5
    assert len(env.game.situations) <= 2


@pytest.mark.parametrize("key", [ROOM, SHUT, TWO_ROOMS])
def test_the_expert_wins_from_the_start_and_from_elsewhere(key, open_game):
    env, result = open_game(key, max_steps=60)
    start = env.copy()
    steps = 0
    while not result.over:
        result = env.step(env.expert())
        steps += 1
    assert result.success is True
    assert steps == len(env.game.walkthrough)
    assert env.expert() is None
    wandered = start.step(Action(text="look"))
    for _ in range(3):
        back = next((c for c in wandered.observation.choices if c.startswith(("go ", "drop ", "take "))), "look")
        wandered = start.step(Action(text=back))
    while not wandered.over:
        wandered = start.step(start.expert())
    assert wandered.success is True


@pytest.mark.parametrize("reward", ["sparse", "dense"])
def test_the_rewards_of_a_won_game_sum_to_one(reward, open_game):
    env, result = open_game(TWO_ROOMS, reward=reward, show=("score", "location", "objective"))
    total = 0.0
    while not result.over:
        result = env.step(env.expert())
        total += result.reward
    assert total == pytest.approx(1.0)
    assert result.reward > 0
    assert "Score: 1 of 1" in result.observation.text
    assert "You are in: Workshop" in result.observation.text


def test_the_step_limit_cuts_and_fails(open_game):
    env, result = open_game(TWO_ROOMS)
    for _ in range(8):
        assert not result.over
        result = env.step(Action(text="look"))
    assert (result.truncated, result.terminated, result.success, result.reward) == (True, False, False, 0.0)
    assert result.observation.choices == []


def test_the_opening_shows_objective_and_room_without_banner_or_prompt(open_game):
    _, result = open_game(TWO_ROOMS)
    text = result.observation.text
    assert "$" not in text
    assert ">" not in text
    assert "-= Workshop =-" in text
    assert "latchkey" in text.partition("-=")[0]
    assert open_game(TWO_ROOMS, admissible=False)[1].observation.choices == []


@pytest.mark.parametrize(
    "text",
    [
        "save",
        "restore",
        "quit",
        "restart",
        "undo",
        "script",
        "SCRIPT on",
        "verbose",
        "superbrief",
        "#tree",
        "*note",
        "",
        "again",
        "g",
        "oops key",
        "look. inventory",
        "look then look",
        "tw-extra-infos description",
        "tw-trace-actions",
        "\x00",
        "\x00look",
        "\x1b[2J",
        "version",
        "\n\n",
        "restrict commands",
        "q",
        "?" * 5,
    ],
)
def test_orders_to_the_interpreter_do_not_reach_it(text, open_game, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env, before = open_game(TWO_ROOMS)
    node = env.node
    result = env.step(Action(text=text))
    assert result.observation.text.startswith("That's not a verb I recognise.")
    assert (env.node, env.steps, result.over) == (node, 1, False)
    assert result.observation.choices == before.observation.choices
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "text", ["x" * (1 << 20), "look\ninventory", "ä" * 500, "take key\x00\x00", "x 🚪", "inventory; rm -rf", "save me"]
)
def test_nonsense_costs_a_step_and_leaves_no_file(text, open_game, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    env, before = open_game(TWO_ROOMS)
    result = env.step(Action(text=text))
    assert result.observation.choices == before.observation.choices
    assert env.step(env.expert()).observation.text
    assert os.listdir(tmp_path) == []


def test_a_command_may_be_written_freely(open_game):
    for text in ("go west", "  GO   West. ", "west", "go\twest"):
        env, _ = open_game(TWO_ROOMS)
        assert "-= Vault =-" in env.step(Action(text=text)).observation.text


@pytest.mark.parametrize(
    "key",
    [
        "custom/w2-o3-q4/train/10000",
        "custom/w2-o3-q4/train/7",
        "custom/w2-o3-q4/valid/1000",
        "custom/w99-o3-q4/train/0000",
        "custom/w2-o3/train/0000",
        "customs/w2-o3-q4/train/0000",
        "custom/w2-o3-q4/dev/0000",
        "simple/dense/train/0000",
        "cooking/recipe1-take2/train/0000",
        "cooking/recipe2-cook-open/train/0000",
        "coin_collector/l160/train/0000",
        "treasure_hunter/l31/train/0000",
        "custom/w02-o3-q4/train/0000",
        "custom/../../etc/train/0000",
        "",
        "file/test/x",
        "file/test/../x",
        "file/test/..",
        "file/test/.hidden",
        "file/test/a/b",
        "file/../x",
        "file//x",
        "custom/w2-o3-q4/train/٠٠٠٠",
    ],
)
def test_a_wrong_key_is_refused_in_a_sentence(key, open_game):
    with pytest.raises(KeyError) as refused:
        open_game(key)
    assert len(refused.value.args[0]) > 20


def test_a_client_may_repeat_but_not_choose_a_place_on_the_servers_disk(cache_dir, tmp_path):
    served = Served(TextWorld, {"cache_dir": str(cache_dir)})
    worlds = Worlds({"textworld": served}, 100)
    with pytest.raises(UnknownTask, match="'cache_dir' is the server's own"):
        worlds.open(1, Task(env="textworld", key=ROOM, options={"cache_dir": str(tmp_path)}))
    with pytest.raises(UnknownTask, match="'games_dir' is the server's own"):
        worlds.tasks("textworld", "test", 0, 1, {"family": "file", "games_dir": str(tmp_path)})
    assert os.listdir(tmp_path) == []
    assert worlds.open(2, Task(env="textworld", key=ROOM, options={"cache_dir": str(cache_dir)})).over is False
    worlds.close_all()


def test_making_a_game_is_given_up_before_its_worker_is():
    assert TextWorld.Config().make_timeout_s < ServerConfig().open_timeout_s


def test_only_a_game_that_is_not_there_is_made_before_its_world_is_opened(cache_dir, tmp_path):
    made, empty = TextWorld.Config(cache_dir=cache_dir), TextWorld.Config(cache_dir=tmp_path)
    assert TextWorld.making(made, Task(env="textworld", key=ROOM)) is None
    assert TextWorld.making(empty, Task(env="textworld", key="file/test/x")) is None
    making = TextWorld.making(empty, Task(env="textworld", key=ROOM, seed=3))
    assert making.name == ROOM
    assert os.listdir(tmp_path) == []
    making.make()
    assert TextWorld.making(empty, Task(env="textworld", key=ROOM)) is None


@pytest.mark.parametrize("family", ["custom/w2", "nothing", "simple/dense", "cooking/recipe9"])
def test_a_wrong_family_is_refused(family):
    with pytest.raises(ValueError, match=r"TextWorld has no family|looks like"):
        TextWorld.Config(family=family)


def test_no_two_splits_share_a_seed():
    families = ["custom/w2-o3-q4", "custom/w1-o1-q1", "simple/sparse-brief", "coin_collector/l1"]
    seeds = {split: set() for split in SIZES}
    for family in families:
        for split, size in SIZES.items():
            own = [GameKey(*family.split("/"), split, number).seed(0) for number in range(size)]
            assert len(set(own)) == size
            seeds[split] |= {seed for number in range(0, size, 50) for seed in [own[number]]}
    assert not seeds["train"] & seeds["valid"]
    assert not seeds["test"] & (seeds["train"] | seeds["valid"])
    top = GameKey("custom", "w2-o3-q4", "test", 999).seed(63)
    assert 3 << 30 <= top < 1 << 32


def test_keys_are_listed_lazily_and_read_back():
    keys = TextWorld.tasks(TextWorld.Config(family="cooking/recipe1-take1-cook"), "valid")
    assert (len(keys), keys[7], keys[-1]) == (1000, *(f"cooking/recipe1-take1-cook/valid/{n:04d}" for n in (7, 999)))
    assert [str(parse(key)) for key in keys[2:4]] == keys[2:4]
    with pytest.raises(KeyError):
        TextWorld.tasks(TextWorld.Config(), "dev")


def test_official_files_are_played_from_a_directory(cache_dir, tmp_path, open_game):
    made = cache_dir / "textworld-1.7.0-1" / ROOM
    (tmp_path / "test").mkdir()
    for end in ("z8", "json"):
        shutil.copy(made / f"game.{end}", tmp_path / "test" / f"tw-game_1+x.{end}")
    shutil.copy(made / "game.json", tmp_path / "test" / "textless.json")
    shutil.copy(made / "game.z8", tmp_path / "test" / "bare.z8")
    (tmp_path / "test" / "broken.z8").write_bytes(b"no story")
    (tmp_path / "test" / "broken.json").write_text("{}")
    (tmp_path / "secret.z8").write_bytes(b"")
    config = TextWorld.Config(family="file", games_dir=tmp_path)
    assert TextWorld.tasks(config, "test") == ["file/test/broken", "file/test/tw-game_1+x"]
    assert TextWorld.tasks(config, "train") == []
    _, result = open_game("file/test/tw-game_1+x", games_dir=tmp_path, max_steps=6)
    assert result == open_game(ROOM)[1]
    for name, why in (("textless", "no text"), ("bare", "no .json"), ("absent", "has no"), ("..", "names no")):
        with pytest.raises(KeyError, match=why):
            open_game(f"file/test/{name}", games_dir=tmp_path)
    from envserver.envs._textworld.play import GameFailed

    with pytest.raises(GameFailed, match=r"broken\.z8"):
        open_game("file/test/broken", games_dir=tmp_path)
