"""Games on disk: the same bytes everywhere, made once, never half-written."""

from __future__ import annotations

import json
import os
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.textworld
pytest.importorskip("textworld", reason="needs the extra [textworld]")

from envserver.envs._textworld.cache import GameCache, default_root  # noqa: E402
from envserver.envs._textworld.keys import parse  # noqa: E402
from envserver.envs._textworld.play import GameFailed, LoadedGame  # noqa: E402

ROOM = parse("custom/w1-o5-q3/train/0001")

MAKE = """
import os, random, resource, sys
from pathlib import Path
from envserver.envs._textworld.cache import GameCache
from envserver.envs._textworld.keys import parse
from envserver.envs._textworld.play import LoadedGame
story = GameCache(Path(sys.argv[1])).story(parse(sys.argv[2]), timeout_s=200)
spent = resource.getrusage(resource.RUSAGE_CHILDREN)
game, rng = LoadedGame(story), random.Random(0)
node = game.root(frozenset({"inventory", "description"}))
shown = []
while not node.over and len(shown) < 20:
    shown.append((node.text, node.inventory, node.description, node.situation.commands))
    node = game.step(node, rng.choice(node.situation.commands))
import hashlib
print(spent.ru_utime > 0.2, hashlib.sha256(repr(shown).encode()).hexdigest())
"""


def start(root: Path, key, **environment: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", MAKE, str(root), str(key)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})


def files(root: Path) -> list[str]:
    return sorted(
        str(path.relative_to(root)) for path in root.rglob("*") if path.is_file() and ".locks" not in path.parts
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A cache that four processes with different hash seeds were asked to put one game into at once."""
    root = tmp_path_factory.mktemp("made")
    processes = [start(root, ROOM, PYTHONHASHSEED=str(seed)) for seed in range(4)]
    said = [process.communicate(timeout=200)[0].split() for process in processes]
    return root, said


def test_four_processes_make_one_game_once_and_play_it_alike(made):
    root, said = made
    assert [made for made, _ in said].count("True") == 1
    assert len({transcript for _, transcript in said}) == 1
    place = GameCache(root).directory(ROOM).relative_to(root)
    assert files(root) == [f"{place}/{name}" for name in ("game.json", "game.z8", "meta.json")]


def test_a_killed_maker_leaves_nothing_that_is_seen(made, tmp_path):
    maker = start(tmp_path, ROOM)
    deadline = time.monotonic() + 100
    while not any(name.endswith("game.ni") for name in files(tmp_path)):
        assert time.monotonic() < deadline, "nothing is being made"
        time.sleep(0.01)
    os.kill(maker.pid, signal.SIGKILL)
    maker.communicate()
    cache = GameCache(tmp_path)
    assert not cache.has(ROOM)
    story = cache.story(ROOM, timeout_s=200)
    assert story.read_bytes() == (GameCache(made[0]).directory(ROOM) / "game.z8").read_bytes()
    assert len(files(tmp_path)) == 3


def test_a_damaged_game_is_made_again_by_another_process_with_the_same_bytes(made, capfd):
    cache = GameCache(made[0])
    place = cache.directory(ROOM)
    whole = {name: (place / name).read_bytes() for name in ("game.z8", "game.json", "meta.json")}
    (place / "game.z8").write_bytes(whole["game.z8"][:-1000])
    cache.story(ROOM, timeout_s=200)
    assert {name: (place / name).read_bytes() for name in whole} == whole
    assert capfd.readouterr() == ("", "")


def test_making_that_takes_too_long_is_given_up_and_leaves_nothing(tmp_path):
    with pytest.raises(GameFailed, match="takes too long"):
        GameCache(tmp_path).story(parse("custom/w1-o5-q3/valid/0001"), timeout_s=0.05)
    assert files(tmp_path) == []


def test_a_directory_that_cannot_be_written_is_said(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(GameFailed, match="cannot be written"):
        GameCache(tmp_path / "file").story(ROOM, timeout_s=10)


def test_a_full_disk_is_said_at_once(tmp_path):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8 << 20, hard))
    try:
        with pytest.raises(GameFailed, match=r"^the games directory's disk is full \(File too large\); .* in 16 MiB$"):
            GameCache(tmp_path).story(ROOM, timeout_s=100)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert files(tmp_path) == []


def test_the_directory_may_be_chosen_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("TURNHALLE_CACHE", str(tmp_path))
    assert default_root() == tmp_path / "textworld"
    monkeypatch.delenv("TURNHALLE_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert default_root() == tmp_path / "xdg" / "turnhalle" / "textworld"


@pytest.mark.slow
@pytest.mark.parametrize(
    "family",
    [
        "custom/w8-o12-q4",
        "custom/w4-o6-q8",
        "simple/sparse-brief",
        "simple/dense-detailed",
        "coin_collector/l10",
        "treasure_hunter/l5",
        "treasure_hunter/l12",
        "treasure_hunter/l21",
        "cooking/recipe1",
        "cooking/recipe1-cook",
        "cooking/recipe3-take2-go6-open-cook-cut-drop",
        "coin_collector/l101",
    ],
)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_family_makes_games_that_the_expert_wins(family, split, tmp_path):
    from envserver.envs.textworld import TextWorld
    from envserver.schema import Task

    env = TextWorld(TextWorld.Config(cache_dir=tmp_path, reward="dense"))
    result = env.reset(Task(env="textworld", key=f"{family}/{split}/0003"))
    total = 0.0
    while not result.over:
        result = env.step(env.expert())
        total += result.reward
    assert result.success is True
    assert total == pytest.approx(1.0)
    meta = json.loads(next(tmp_path.rglob("meta.json")).read_text())
    assert LoadedGame(next(tmp_path.rglob("game.z8"))).walkthrough == meta["walkthrough"]
