"""TextWorld 1.7 games: read a room, find things, carry out a quest (Côté et al. 2018, arXiv 1806.11532).

A key names a game completely: `custom/w2-o3-q4/train/0007` is the eighth training game of 2 rooms, 3 objects and a
quest of 4 commands; the task's seed adds nothing. Games are made when they are first opened, outside of the workers,
and kept on disk. What a worker has played of a game it does not play again.
"""

from __future__ import annotations

import importlib.util
import re
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self

from pydantic import Field, field_validator

from envserver.core import Env, EnvConfig, Making
from envserver.envs._textworld.commands import REFUSAL, readable
from envserver.envs._textworld.keys import FILE_NAME, SIZES, FileKey, GameKey, check_family, parse
from envserver.numbered import NumberedKeys
from envserver.schema import Action, Observation, StepResult, Task

if TYPE_CHECKING:
    from envserver.envs._textworld.play import LoadedGame, Node
elif importlib.util.find_spec("textworld") is None:
    raise ModuleNotFoundError("No module named 'textworld'", name="textworld")

__all__ = ["TextWorld"]

Shown = Literal["location", "description", "inventory", "score", "objective"]
MAX_GAMES = 32
"""Games a worker keeps in memory, 2 to 4 MB each, beyond those that are being played."""


class TextWorldConfig(EnvConfig):
    """Options of textworld."""

    servers_own: ClassVar[tuple[str, ...]] = ("cache_dir", "games_dir", "make_timeout_s")

    family: str = "custom/w2-o3-q4"
    """The games that are listed: a family with its parameters, or `file` for the games directory."""
    admissible: bool = True
    """Whether the commands that are possible now are shown as choices."""
    max_steps: int | None = Field(default=None, ge=1, le=10_000)
    """Steps after which the episode is cut. None: for `custom` twice the quest's length in at most 2 rooms with at most
    6 objects, else three times (the practitioner's guide, arXiv 2510.01132, has 8, 12 and 24); for the other families
    three times the walkthrough's length, at least 10."""
    reward: Literal["sparse", "dense"] = "sparse"
    """`sparse`: 1 for winning. `dense`: what the game's score rose by, divided by its greatest score; the step that
    wins brings the sum to 1."""
    show: tuple[Shown, ...] = ("inventory",)
    """What is put under the game's answer, in this order, each once."""
    cache_dir: Path | None = None
    """Where made games are kept. None: `$TURNHALLE_CACHE/textworld`, else `turnhalle/textworld` in the user's cache
    directory. Only the server may set it."""
    games_dir: Path | None = None
    """Official games: `train`, `valid` and `test` directories of `NAME.z8` with `NAME.json`, played as
    `file/test/NAME`. Only the server may set it."""
    make_timeout_s: float = Field(default=100.0, gt=0)
    """Seconds after which making a game is given up: less than the server's `open_timeout_s`, so that this is said and
    the worker lives. Only the server may set it."""

    @field_validator("family")
    @classmethod
    def _a_family(cls, value: str) -> str:
        if value != "file":
            check_family(value)
        return value

    @field_validator("show")
    @classmethod
    def _each_once(cls, value: tuple[Shown, ...]) -> tuple[Shown, ...]:
        if len(set(value)) != len(value):
            raise ValueError("each of them can be shown once")
        return value


class TextWorld(Env):
    """Text adventures with a quest: explore rooms, find and use things, reach the objective."""

    Config: ClassVar[type[EnvConfig]] = TextWorldConfig
    config: TextWorldConfig
    instructions: ClassVar[str] = (
        "You are in a text adventure. Carry out the objective with short commands, one at a time, such as: look, "
        "inventory, examine THING, go north, open THING, close THING, unlock THING with KEY, take THING, "
        "take THING from CONTAINER, drop THING, put THING on SUPPORTER, insert THING into CONTAINER, eat FOOD. "
        "In kitchens also: cook FOOD with STOVE, chop, slice or dice FOOD with KNIFE, prepare meal."
    )

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        assert isinstance(config, TextWorldConfig)
        from envserver.envs._textworld.making import preload

        preload("custom")

    @classmethod
    def making(cls, config: EnvConfig, task: Task) -> Making | None:
        assert isinstance(config, TextWorldConfig)
        key = parse(task.key)
        if isinstance(key, FileKey):
            return None
        from envserver.envs._textworld.cache import GameCache, default_root
        from envserver.envs._textworld.making import preload

        cache = GameCache(config.cache_dir or default_root())
        if cache.has(key):
            return None
        preload(key.family)  # once a family, and not in each child
        return Making(str(key), partial(cache.story, key, timeout_s=config.make_timeout_s))

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, TextWorldConfig)
        if split not in SIZES:
            raise KeyError(f"TextWorld has no split '{split[:40]}'; there are: {', '.join(SIZES)}")
        if config.family != "file":
            return NumberedKeys(f"{config.family}/{split}", SIZES[split])
        if config.games_dir is None:
            return []
        stories = (config.games_dir / split).glob("*.z8")
        names = sorted(story.stem for story in stories if story.with_suffix(".json").is_file())
        return [f"file/{split}/{name}" for name in names if FILE_NAME.fullmatch(name) and ".." not in name]

    def reset(self, task: Task) -> StepResult:
        key = parse(task.key)
        self.game = _game(key, self.config)
        self.max_steps = self.config.max_steps or _default_steps(key, self.game)
        self.node: Node = self.game.root(frozenset(self.config.show) & {"description", "inventory"})
        self.steps = 0
        self.earned = 0.0
        """Reward so far."""
        return self._result(self.node.text, 0.0)

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        command: str | None = action.text.strip()
        if action.tool is not None:
            command = None
        elif command not in self.node.situation.commands:
            command = readable(action.text)
        if command is None:
            return self._result(REFUSAL, 0.0)
        self.node = self.game.step(self.node, command)
        reward = self._reward()
        self.earned += reward
        return self._result(self.node.text, reward)

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        return twin

    def expert(self) -> Action | None:
        from envserver.envs._textworld.play import next_command

        command = None if self.node.over else next_command(self.game, self.node)
        return None if command is None else Action(text=command)

    def _reward(self) -> float:
        """Reward of the step that led here."""
        if self.node.won:
            return 1.0 - self.earned
        best = float(self.game.max_score)
        if self.config.reward == "sparse" or not 0 < best < float("inf"):
            return 0.0
        before = self.node.parent.score if self.node.parent else 0
        return max(0.0, min((self.node.score - before) / best, 1.0 - self.earned))

    def _result(self, text: str, reward: float) -> StepResult:
        """What is seen now, `text` being the game's answer."""
        node = self.node
        cut = not node.over and self.steps >= self.max_steps
        going = not node.over and not cut
        seen = [text, *(_shown(name, node, self.game) for name in self.config.show)]
        best = self.game.max_score
        info: dict[str, Any] = {"room": node.situation.room, "score": node.score}
        if best < float("inf"):
            info["max_score"] = best
        return StepResult(
            observation=Observation(
                text="\n\n".join(part for part in seen if part),
                choices=list(node.situation.commands) if going and self.config.admissible else [],
            ),
            reward=reward,
            terminated=node.over,
            truncated=cut,
            success=None if going else node.won,
            info=info,
        )


GAMES: OrderedDict[Path, LoadedGame] = OrderedDict()
"""This worker's games, the one opened last at the end."""


def _game(key: GameKey | FileKey, config: TextWorldConfig) -> LoadedGame:
    """The game of a key, out of memory, off the disk, or made. Raises KeyError for a file that is not there."""
    from envserver.envs._textworld.cache import GameCache, default_root
    from envserver.envs._textworld.play import LoadedGame

    if isinstance(key, FileKey):
        story = _file(key, config)
        place = story
    else:
        cache = GameCache(config.cache_dir or default_root())
        place = cache.directory(key) / "game.z8"
    found = GAMES.get(place)
    if found is None:
        if isinstance(key, GameKey):
            story = cache.story(key, timeout_s=config.make_timeout_s)
        found = GAMES[place] = LoadedGame(story)
        while len(GAMES) > MAX_GAMES:
            GAMES.popitem(last=False)
    GAMES.move_to_end(place)
    return found


def _file(key: FileKey, config: TextWorldConfig) -> Path:
    """The official game's `.z8`. Raises KeyError, saying what is missing."""
    if config.games_dir is None:
        raise KeyError("this server has no games directory; serve textworld with games_dir set")
    story = config.games_dir / key.split / f"{key.name}.z8"
    if not story.is_file() and story.with_suffix(".json").is_file():
        raise KeyError(f"'{key}' has only its .json, which holds no text to observe; put its .z8 beside it")
    if not story.is_file():
        raise KeyError(f"the games directory has no '{key.split}/{key.name}.z8'")
    if not story.with_suffix(".json").is_file():
        raise KeyError(f"'{key}' has no .json beside its .z8, so its commands and quest are not known")
    return story.resolve()


def _default_steps(key: GameKey | FileKey, game: LoadedGame) -> int:
    if isinstance(key, GameKey) and key.family == "custom":
        rooms, objects, quest = (int(number) for number in re.findall(r"\d+", key.params))
        return quest * (2 if rooms <= 2 and objects <= 6 else 3)
    return max(10, 3 * len(game.walkthrough)) if game.walkthrough else 100


def _shown(name: Shown, node: Node, game: LoadedGame) -> str:
    match name:
        case "location":
            return f"You are in: {node.situation.room}"
        case "description":
            return node.description
        case "inventory":
            return node.inventory
        case "score":
            return f"Score: {node.score} of {game.max_score}"
        case "objective":
            return game.objective
