"""ALFWorld: household tasks in ALFRED's rooms, told in text (Shridhar et al. 2020, arXiv 2010.03768).

A key names a game completely: `generated/pick_and_place_simple/train/0042` is made from its key, without any data, and
so is `bathroom/pick_and_place_simple/train/0042`, in that kind of room; `official/valid_seen/TASK/TRIAL` is one of the
data that `alfworld-download` fetches. The task's seed chooses the person whose words tell the goal, and only with
`goal = "annotation"`. `train` and `valid_seen` share their rooms,
`valid_unseen` has rooms of its own.

RLVMR's levels (arXiv 2507.22844): learn from `train`; L0 is `valid_seen`, L1 is `valid_unseen`, and with
`held_out = [5, 6]` `valid_unseen` is L2: task types that the other splits leave out.
"""

from __future__ import annotations

import importlib.util
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, Self, cast

from pydantic import Field, field_validator, model_validator

from envserver.catalogue import BadOption
from envserver.core import Env, EnvConfig
from envserver.envs._alfworld.goals import TYPES
from envserver.envs._alfworld.keys import ROOMS, SPLITS, GeneratedKey, OfficialKey, generated, official, parse
from envserver.envs._alfworld.row import Dialect, GameUnreadable, Row
from envserver.schema import Action, Observation, StepResult, Task

if TYPE_CHECKING:
    from envserver.envs._alfworld.play import Game, Play
    from envserver.envs._alfworld.stock import StockPlay

__all__ = ["Alfworld"]

Weight = Annotated[float, Field(gt=0, le=1e6)]

MAX_GAMES = 128
"""Games a worker keeps in memory, some 150 kB each, beyond those that are being played."""
MAX_COMMAND_CHARS = 500
"""A longer text is no command; the engines are not asked."""


class AlfworldConfig(EnvConfig):
    """Options of alfworld."""

    servers_own: ClassVar[tuple[str, ...]] = ("engine", "data", "cache_dir")

    family: Literal["generated", "kitchen", "living_room", "bedroom", "bathroom", "official"] = "generated"
    """The games that are listed: made from their key, in any room or in one kind of room, or of the official data.
    A bathroom has a dozen receptacles, a kitchen thirty."""
    types: tuple[str, ...] = ()
    """Task types that are listed, by name or by ALFWorld's number: 1 pick_and_place_simple, 2 look_at_obj_in_light,
    3 pick_clean_then_place_in_recep, 4 pick_heat_then_place_in_recep, 5 pick_cool_then_place_in_recep,
    6 pick_two_obj_and_place. Empty: all that the family has."""
    held_out: tuple[str, ...] = ()
    """Of those, the ones that only valid_unseen lists, and then it lists no other; [5, 6] is RLVMR's L2."""
    mixture: tuple[Weight, ...] = ()
    """How often each type is listed, in their order. Empty: generated games evenly, official ones as they are."""
    engine: Literal["native", "stock"] = "native"
    """`native`: our player, the same text a thousand times faster. `stock`: the package alfworld on textworld, for
    comparing. Only the server may set it."""
    dialect: Dialect = "0.4"
    """Of the verbs, whatever the data's own: alfworld 0.4.x has "move X to Y" and `help`, 0.2.x "put X in/on Y"."""
    admissible: bool = True
    """Whether the commands that are possible now are shown as choices."""
    goal: Literal["template", "annotation"] = "template"
    """Whose words tell the goal: the template's, or a person's, chosen by the task's seed, where the game has any;
    generated games have none."""
    max_steps: int = Field(default=50, ge=1, le=1000)
    """Steps after which the episode is cut; RLVMR has 30."""
    reward: Literal["sparse", "dense"] = "sparse"
    """`sparse`: 1 for winning. `dense`: for every step that brings the goal nearer than it has been, its share of the
    way by the oracle's plan; the winning step brings the sum to 1."""
    expert: Literal["oracle", "search", "handcoded"] = "oracle"
    """`oracle`: a short plan by full knowledge. `search`: by what has been seen, so that it can be imitated; it looks
    into likely receptacles in turn. `handcoded`: the package's own, which also searches; with `stock` alone."""
    data: Path | None = None
    """Official games: a directory as alfworld-download leaves it, or a .jsonl or .jsonl.xz with a game a line. None:
    `$ALFWORLD_DATA`, else ~/.cache/alfworld. Only the server may set it."""
    cache_dir: Path | None = None
    """Where a .jsonl.xz is unpacked. None: `$TURNHALLE_CACHE/alfworld`, else `turnhalle/alfworld` in the user's cache
    directory. Only the server may set it."""

    @field_validator("types", "held_out", mode="before")
    @classmethod
    def _by_name_or_number(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            raise ValueError("give a list of names or numbers, such as [1, 2]")
        numbers = dict(enumerate(TYPES, start=1))
        names = [numbers.get(one, one) if isinstance(one, int) else one for one in value]
        for name in names:
            if name not in TYPES:
                listed = ", ".join(f"{number} {known}" for number, known in numbers.items())
                raise ValueError(f"ALFWorld has no task type {name!r}; there are: {listed}")
        if len(set(names)) != len(names):
            raise ValueError("each type can be listed once")
        return names

    @model_validator(mode="after")
    def _fits(self) -> Self:
        afforded = ROOMS.get(self.family, TYPES)
        if missing := [name for name in self.types if name not in afforded]:
            raise ValueError(f"a {self.family} has nothing for {missing[0]}; it has: {', '.join(afforded)}")
        if missing := [name for name in self.held_out if name not in self.listed]:
            raise ValueError(f"held_out has {missing[0]}, which is not among types")
        if len(self.held_out) == len(self.listed):
            raise ValueError("held_out leaves no type to learn from")
        if self.mixture and len(self.mixture) != len(self.listed):
            raise ValueError(f"mixture needs {len(self.listed)} weights, one for each of types")
        if self.expert == "handcoded" and (self.engine != "stock" or self.dialect != "0.4"):
            raise ValueError("the handcoded expert is the package's; it needs engine = 'stock' and dialect = '0.4'")
        if self.engine == "stock" and importlib.util.find_spec("alfworld") is None:
            raise ValueError("the stock engine is the package alfworld: pip install 'turnhalle[alfworld]'")
        return self

    @property
    def listed(self) -> tuple[str, ...]:
        """The task types, by name."""
        return self.types or ROOMS.get(self.family, TYPES)

    def weights(self, split: str) -> tuple[tuple[str, float], ...]:
        """The types that a split lists, each with its weight."""
        every = zip(self.listed, self.mixture or (1.0,) * len(self.listed), strict=True)
        unseen = split == "valid_unseen"
        return tuple((name, weight) for name, weight in every if not self.held_out or (name in self.held_out) == unseen)


class Alfworld(Env):
    """Household tasks: find a thing, clean, heat or cool it, put it where it belongs."""

    Config: ClassVar[type[EnvConfig]] = AlfworldConfig
    config: AlfworldConfig
    splits: ClassVar[tuple[str, ...]] = SPLITS
    instructions: ClassVar[str] = (
        "You are in a room of a house. Carry out the task with short commands, one at a time: look, inventory, "
        "go to RECEPTACLE, open RECEPTACLE, close RECEPTACLE, take THING from RECEPTACLE, move THING to RECEPTACLE (in "
        "dialect 0.2: put THING in/on RECEPTACLE), examine SOMETHING, use LAMP, clean THING with SINKBASIN, heat THING "
        "with MICROWAVE, cool THING with FRIDGE, slice THING with KNIFE. Things and receptacles are named with their "
        "number, such as: take mug 1 from cabinet 3. You can carry one thing at a time."
    )

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        assert isinstance(config, AlfworldConfig)
        from envserver.envs._alfworld import oracle  # noqa: F401
        from envserver.envs._alfworld.rooms import rooms

        rooms()
        if config.engine == "stock":
            from envserver.envs._alfworld import stock  # noqa: F401
        if config.family == "official":
            cls.tasks(config, "train")

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, AlfworldConfig)
        if split not in SPLITS:
            raise KeyError(f"ALFWorld has no split '{split[:40]}'; there are: {', '.join(SPLITS)}")
        if config.family != "official":
            return generated(split, config.weights(split), config.family)
        from envserver.envs._alfworld.data import DataUnreadable, open_data

        try:
            data = open_data(config.data, config.cache_dir)
        except DataUnreadable as error:
            raise BadOption(str(error)) from error
        return official(data.ids(split), config.weights(split), by_weight=bool(config.mixture))

    def reset(self, task: Task) -> StepResult:
        self.row, game = _game(parse(task.key), self.config)
        sentence = self._sentence(task.seed)
        if self.config.engine == "stock":
            from envserver.envs._alfworld.stock import StockPlay

            who: Literal["oracle", "handcoded"] = "handcoded" if self.config.expert == "handcoded" else "oracle"
            self.play: Play | StockPlay = StockPlay(self.row, self.config.dialect, who, task=sentence, seed=task.seed)
        else:
            from envserver.envs._alfworld.play import Play

            self.play = Play(game, sentence)
        self.steps = 0
        self.earned = 0.0
        """Reward so far."""
        self.seen = 0
        """Receptacles that have been looked into, for the expert `search`."""
        if self.config.reward == "dense":
            self.start = self.nearest = self._distance()
            """Commands to the goal, at first and at the least so far."""
        return self._result(0.0)

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        command = action.text if action.tool is None and len(action.text) <= MAX_COMMAND_CHARS else ""
        self.play.step(command)
        if self.config.expert == "search":
            from envserver.envs._alfworld.search import seen_after

            self.seen = seen_after(self._native, command, self.seen)
        reward = self._reward()
        self.earned += reward
        return self._result(reward, admissible=self.play.moved)

    def close(self) -> None:
        if self.config.engine == "stock" and "play" in self.__dict__:
            self._stock.close()

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        twin.play = self.play.copy()
        return twin

    def expert(self) -> Action | None:
        if self.play.won:
            return None
        if self.config.expert == "handcoded":
            command = self._stock.expert()
        elif self.config.expert == "search":
            from envserver.envs._alfworld.search import next_command

            command = next_command(self._native, self.seen)
        else:
            plan = self._plan()
            command = plan[0] if plan else None
        return None if command is None else Action(text=command)

    @property
    def _stock(self) -> StockPlay:
        return cast("StockPlay", self.play)

    @property
    def _native(self) -> Play:
        """The play by our own engine, which is beside the stock's too."""
        return self._stock.shadow if self.config.engine == "stock" else cast("Play", self.play)

    def _plan(self) -> Sequence[str] | None:
        """The oracle's way to the goal; None where there is none."""
        from envserver.envs._alfworld.oracle import plan

        return plan(self._native)

    def _sentence(self, seed: int) -> str:
        """The goal, without its full stop."""
        anns = self.row.anns
        if self.config.goal == "template" or not anns:
            return self.row.task
        return " ".join(anns[seed % len(anns)].split()).rstrip(".")

    def _distance(self) -> int:
        """Commands to the goal; where it can no longer be reached, as many as at the nearest."""
        plan = self._plan()
        return self.nearest if plan is None else len(plan)

    def _reward(self) -> float:
        """Reward of the step that led here."""
        if self.play.won:
            return 1.0 - self.earned
        if self.config.reward == "sparse" or not self.play.moved:
            return 0.0
        before, self.nearest = self.nearest, min(self.nearest, self._distance())
        return (before - self.nearest) / self.start

    def _result(self, reward: float, **facts: bool) -> StepResult:
        """What is seen now."""
        play = self.play
        cut = not play.won and self.steps >= self.config.max_steps
        going = not play.won and not cut
        return StepResult(
            observation=Observation(
                text=play.text, choices=list(play.admissible()) if going and self.config.admissible else []
            ),
            reward=reward,
            terminated=play.won,
            truncated=cut,
            success=None if going else play.won,
            info={"task_type": self.row.task_type, **facts},
        )


GAMES: OrderedDict[tuple[str, Dialect, Path | None], tuple[Row, Game]] = OrderedDict()
"""This worker's games, the one opened last at the end."""


def _game(key: GeneratedKey | OfficialKey, config: AlfworldConfig) -> tuple[Row, Game]:
    """The game of a key, out of memory, the data, or made.

    Raises KeyError for a game that is not there and GameUnreadable for one that is damaged.
    """
    place = (str(key), config.dialect, config.data)
    found = GAMES.get(place)
    if found is None:
        found = GAMES[place] = _loaded(key, config)
        while len(GAMES) > MAX_GAMES:
            GAMES.popitem(last=False)
    GAMES.move_to_end(place)
    return found


def _loaded(key: GeneratedKey | OfficialKey, config: AlfworldConfig) -> tuple[Row, Game]:
    if isinstance(key, GeneratedKey):
        from envserver.envs._alfworld.making import make

        return make(key, config.dialect)
    from envserver.envs._alfworld.data import DataUnreadable, open_data
    from envserver.envs._alfworld.oracle import plan
    from envserver.envs._alfworld.play import Game, Play

    try:
        row = open_data(config.data, config.cache_dir).row(key)
    except DataUnreadable as error:
        raise KeyError(str(error)) from error
    game = Game.load(row, config.dialect)
    if game.won:
        raise GameUnreadable(f"{row.id} is won before it begins")
    if game.aim is not None and plan(Play(game)) is None:
        raise GameUnreadable(f"{row.id} cannot be won, whatever its flag says")
    return row, game
