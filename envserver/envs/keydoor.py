"""Keydoor: a locked room with keys and doors of several colours, one of which is the way out.

The smallest world that must be read to be solved: two to four steps, no dependency, microseconds a step. A key such as
`doors-3/train/0007` names a room completely; the task's seed shuffles another room under the same key.

With `houses`, no text names the way out. What hangs on the wall tells the house, and a house has one way out, whichever
room it is: only who has been there knows. So there is something for a memory to carry from one episode to another.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from typing import Annotated, ClassVar, Self

from pydantic import Field, field_validator

from envserver.core import Env, EnvConfig, cut, going, lost, won
from envserver.numbered import LazyKeys
from envserver.schema import Action, StepResult, Task

__all__ = ["Keydoor"]

COLOURS = ("red", "blue", "green", "yellow", "white", "black", "brown", "pink")
SIZES = {"train": 10_000, "valid": 1_000, "test": 1_000}
_HUNG = (
    "anchor anvil apple badger barrel basket beacon bear beehive bell birch boar bottle bridge bugle cannon "
    "castle cedar clover compass cricket crown dolphin drum eagle feather ferry fiddle fox frog griffin hammer "
    "hare harp heron ivy kettle ladle lantern lion loom maple mill moon nettle otter owl pear pike plough quill "
    "raven rook rose saddle salmon shovel sickle spade spear stag star swan thistle tower tulip wagon walnut "
    "whale wheel willow wolf"
)
HUNG = tuple(_HUNG.split())
"""What hangs on walls."""
ON_A_WALL = 5
KEY = re.compile(r"doors-([2-8])/(train|valid|test)/([0-9]{4})")


class KeydoorConfig(EnvConfig):
    """Options of keydoor."""

    doors: int = Field(default=3, ge=2, le=len(COLOURS))
    """Doors, and as many keys, in the rooms that are listed; a key names its own number."""
    mixture: tuple[Annotated[int, Field(ge=2, le=len(COLOURS))], ...] = ()
    """Numbers of doors whose rooms are listed in turn, in the place of `doors`: a small set of easy and hard ones."""
    max_steps: int = Field(default=8, ge=4, le=1000)
    """Steps after which the episode is cut; the longest room needs 4."""
    dark: float = Field(default=0.5, ge=0, le=1)
    """Share of the rooms in which a lamp has to be lit first."""
    houses: int = Field(default=0, ge=0, le=100_000)
    """0: the text names the way out. Else every room is in one of so many houses, and the house decides."""
    town: int = Field(default=0, ge=0)
    """Where the houses are. What holds in one town says nothing about another."""

    @field_validator("mixture")
    @classmethod
    def _differ(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(value)) < len(value):
            raise ValueError(f"each number of doors stands once in it, not {list(value)}")
        return value


class Keydoor(Env):
    """Find the key of the one door that is the way out."""

    Config: ClassVar[type[EnvConfig]] = KeydoorConfig
    config: KeydoorConfig
    instructions: ClassVar[str] = (
        "You are locked in a room. Take the key of the door that is the way out, then open that door. "
        "You can hold one key at a time. Any other door that you unlock leads into a trap. "
        "In the dark, light the lamp first; a key you cannot see is in the chest."
    )
    weight = "trivial"

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, KeydoorConfig)
        return _Rooms(config.mixture or (config.doors,), split)

    def reset(self, task: Task) -> StepResult:
        match = KEY.fullmatch(task.key)
        if match is None or int(match[3]) >= SIZES[match[2]]:
            raise KeyError(f"keydoor has no key '{task.key[:80]}'; keys look like doors-3/train/0007")
        rng = random.Random(f"{task.key}#{task.seed}")
        self.colours = rng.sample(COLOURS, int(match[1]))
        self.exit = rng.choice(self.colours)
        self.dark = rng.random() < self.config.dark
        self.chest = self.exit if rng.random() < 0.5 else ""
        """The key in the closed chest."""
        self.wall: list[str] = []
        """What tells the house."""
        if self.config.houses:
            self._move_in(rng)
        self.hanging = [colour for colour in self.colours if colour != self.chest]
        rng.shuffle(self.hanging)
        self.held = ""
        self.steps = 0
        return self._look()

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        command = " ".join(action.text.lower().split()) if action.tool is None and len(action.text) < 100 else ""
        if command not in self._choices():
            return self._look("Nothing happens.")
        verb, _, thing = command.partition(" ")
        if verb == "light":
            self.dark = False
            return self._look("The lamp burns.")
        if thing == "chest":
            found, self.chest = self.chest, ""
            self.hanging.append(found)
            return self._look(f"You find the {found} key in the chest.")
        colour = thing.partition(" ")[0]
        if verb == "take":
            if self.held:
                self.hanging.append(self.held)
            self.hanging.remove(colour)
            self.held = colour
            return self._look()
        if colour != self.held:
            return self._look(f"The {colour} door is locked.")
        if colour == self.exit:
            return won("The door opens: you are out.")
        return lost("The door opens into a trap.")

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        twin.hanging = list(self.hanging)
        return twin

    def expert(self) -> Action | None:
        if self.dark:
            return Action(text="light lamp")
        if self.held == self.exit:
            return Action(text=f"open {self.exit} door")
        return Action(text="open chest" if self.chest == self.exit else f"take {self.exit} key")

    def _move_in(self, rng: random.Random) -> None:
        """The room becomes one of a house. Any key may be in its chest, or the missing one would tell the way out."""
        house = random.Random(f"town {self.config.town}, house {rng.randrange(self.config.houses)}")
        self.wall, out = house.sample(HUNG, ON_A_WALL), house.choice(COLOURS)
        if out not in self.colours:
            self.colours[self.colours.index(self.exit)] = out
        self.exit = out
        self.chest = rng.choice(self.colours) if self.chest else ""

    def _choices(self) -> list[str]:
        doors = [f"open {colour} door" for colour in self.colours]
        if self.dark:
            return ["light lamp", *doors]
        keys = [f"take {colour} key" for colour in self.hanging]
        return [*keys, *(["open chest"] if self.chest else []), *doors]

    def _look(self, event: str = "") -> StepResult:
        """What is seen after `event`; the end of the episode where the steps are used up."""
        if self.steps >= self.config.max_steps:
            return cut(f"{event} Your time is up.".lstrip())
        seen = [event] if event else []
        if not self.wall:
            seen.append(f"The way out is the {self.exit} door.")
        if self.dark:
            seen.append("It is dark; there is a lamp.")
        else:
            if self.wall:
                seen.append(f"On the wall: {', '.join(self.wall)}.")
            seen.append(f"Keys: {', '.join(self.hanging) or 'none'}.")
            if self.chest:
                seen.append("The chest is shut.")
        seen.append(f"You hold {f'the {self.held} key' if self.held else 'nothing'}.")
        return going(" ".join(seen), choices=self._choices())


class _Rooms(LazyKeys):
    """Rooms of these numbers of doors, one of each in turn."""

    def __init__(self, doors: Sequence[int], split: str) -> None:
        super().__init__(SIZES[split] * len(doors))
        self.doors = doors
        self.split = split

    def key(self, number: int) -> str:
        """The key at a place from 0."""
        room, turn = divmod(number, len(self.doors))
        return f"doors-{self.doors[turn]}/{self.split}/{room:04d}"
