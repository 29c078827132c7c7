"""Makes one game: generated, compiled, proved winnable, and the same bytes wherever it is made.

A game belongs to the split that its own content hashes to, half of all games to train and a quarter each to valid and
test; a seed that gives a game of another split is passed over. So no world of one split occurs in another, however few
worlds a family has. This partition is ours; cooking has its official split of foods and preparations instead.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import textworld
import textworld.challenges
from textworld.challenges.tw_cooking import cooking
from textworld.generator import CouldNotCompileGameError, QuestGenerationError, compile_game, make_game
from textworld.generator.data import KnowledgeBase
from textworld.generator.game import Game, GameOptions

from envserver.envs._textworld.keys import ATTEMPTS, GameKey
from envserver.envs._textworld.play import GameFailed, LoadedGame, Node

__all__ = ["GENERATOR", "VERSION", "make", "preload"]

GENERATOR = 1
"""Raise it whenever the same key would give another game."""
VERSION = f"textworld-{textworld.__version__}-{GENERATOR}"

ROOM_BYTES = 16 << 20
"""What has to be free: what the compiler writes under way, 7 MB for the largest games, and some."""
FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)

COOKING = (cooking.KB_LOGIC_PATH, cooking.KB_LOGIC_DROP_PATH)
SERIAL = slice(0x12, 0x18)
"""Where a Z-machine header keeps the date of its making; no checksum covers it."""


def preload(family: str) -> None:
    """Reads the family's logic and grammar, seconds of parsing that every later game of this process is spared."""
    match family:
        case "cooking":
            for logic in COOKING:
                KnowledgeBase.load(logic_path=logic, grammar_path=cooking.KB_GRAMMAR_PATH)
        case "simple" | "coin_collector" | "treasure_hunter":
            challenge = textworld.challenges.CHALLENGES[f"tw-{family}"][1]
            KnowledgeBase.load(challenge.__globals__["KB_PATH"])
        case _:
            KnowledgeBase.default()


def make(key: GameKey, directory: Path) -> None:
    """Writes `game.z8`, `game.json` and `meta.json` into `directory`.

    Raises GameFailed where no seed of this key gives a game. Uses the global generator of `textworld`: one at a time.
    """
    trouble = "every seed gave a game of another split"
    for attempt in range(ATTEMPTS):
        _room(directory)
        seed = key.seed(attempt)
        textworld.g_rng.set_seed(seed)
        options = GameOptions()
        options.seeds = seed
        options.path = str(directory / "game.z8")
        options.force_recompile = True
        try:
            with _maker_for(key.split):
                game = _generate(key, options, seed)
        except OtherSplit:
            continue
        except (QuestGenerationError, AssertionError, IndexError, KeyError, ValueError) as error:
            trouble = _sentence(error)
            continue
        if key.family != "cooking" and _split(game, game.walkthrough) != key.split:
            continue
        try:
            compile_game(game, options)
            _finish(directory)
            walkthrough = _prove(directory)
        except (CouldNotCompileGameError, GameFailed) as error:
            trouble = _sentence(error)
            continue
        meta = {"key": str(key), "seed": seed, "attempt": attempt, "version": VERSION, "walkthrough": walkthrough}
        meta["sha256"] = {name: digest(directory / name) for name in ("game.z8", "game.json")}
        (directory / "meta.json").write_text(json.dumps(meta, indent=1) + "\n")
        return
    raise GameFailed(f"TextWorld makes no game of '{key}': {trouble}; take other parameters")


def _room(directory: Path) -> None:
    """Raises GameFailed where the disk is full: of that the compiler only says that the game may be too big."""
    try:
        with (directory / "room").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, ROOM_BYTES)
    except OSError as error:
        if error.errno in FULL:
            detail = f"the games directory's disk is full ({error.strerror}); a game is made in {ROOM_BYTES >> 20} MiB"
            raise GameFailed(detail) from error
    finally:
        (directory / "room").unlink(missing_ok=True)


def _sentence(error: Exception) -> str:
    return " ".join(f"{type(error).__name__} {error}".split())[:200]


def digest(path: Path) -> str:
    """SHA-256 of a file, in hex."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _generate(key: GameKey, options: GameOptions, seed: int) -> Game:
    """The game of one seed, as `tw-make` with the key's settings makes it."""
    settings: dict[str, Any] = dict(key.settings)
    match key.family:
        case "custom":
            options.nb_rooms = int(settings["rooms"])
            options.nb_objects = int(settings["objects"])
            options.quest_length = int(settings["quest"])
            return make_game(options)
        case "simple":
            settings["test"] = key.split == "test"
        case "cooking":
            counts = {name: int(settings[name] or least) for name, least in (("recipe", 1), ("take", 0), ("go", 1))}
            skills = {skill: settings[skill] is not None for skill in ("open", "cook", "cut", "drop")}
            settings = {**counts, **skills, "split": key.split}
            settings["recipe_seed"] = seed if settings["take"] else 0  # 0: the recipe is what is already carried
        case _:
            settings["level"] = int(settings["level"])
    return textworld.challenges.CHALLENGES[f"tw-{key.family}"][1](settings=settings, options=options)


class OtherSplit(Exception):
    """Raised under way when the game belongs to another split than the one that is made."""


@contextmanager
def _maker_for(split: str) -> Iterator[None]:
    """Families built by hand compile a game to try its walkthrough; within, one of another split is not compiled."""
    package = textworld.GameMaker

    class Maker(package):  # type: ignore[misc, valid-type]
        def set_walkthrough(self, commands: Sequence[str]) -> None:
            if self.options.kb.logic_path not in COOKING and _split(self.build(), commands) != split:
                raise OtherSplit
            super().set_walkthrough(commands)

    textworld.GameMaker = Maker
    try:
        yield
    finally:
        textworld.GameMaker = package


def _split(game: Game, walkthrough: Sequence[str]) -> str:
    """The split a game belongs to by its content: what is where, what it is called, and what is to be done."""
    content = [
        sorted(map(str, game.world.facts)),
        sorted((str(name), str(info.name)) for name, info in game.infos.items()),
        list(walkthrough),
    ]
    bucket = hashlib.sha256(json.dumps(content).encode()).digest()[0] % 4
    return ("train", "train", "valid", "test")[bucket]


def _finish(directory: Path) -> None:
    """Takes out what differs from one making to the next: the date, and the order of a set."""
    story = bytearray((directory / "game.z8").read_bytes())
    story[SERIAL] = b"000000"
    (directory / "game.z8").write_bytes(story)
    data = json.loads((directory / "game.json").read_text())
    for name, value in data["grammar"].items():
        if name == "names_to_exclude":
            data["grammar"][name] = sorted(value, key=str)
    (directory / "game.json").write_text(json.dumps(data))
    os.unlink(directory / "game.ni")


def _prove(directory: Path) -> list[str]:
    """Plays the walkthrough and returns it. Raises GameFailed where it does not win."""
    game = LoadedGame(directory / "game.z8")
    node: Node = game.root(frozenset())
    for command in game.walkthrough:
        node = game.step(node, command)
    if not node.won:
        raise GameFailed("the walkthrough does not win")
    return game.walkthrough
