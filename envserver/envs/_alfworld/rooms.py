"""The 120 rooms of ALFRED and what fits, heats, cools there: `rooms.json.xz`, ALFWorld's (MIT, `rooms.LICENSE`).

`derive.py` makes that file out of the package `alfworld`; to read it no package is needed.
"""

from __future__ import annotations

import json
import lzma
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import NamedTuple

__all__ = ["Affordances", "Receptacle", "Room", "Rooms", "rooms"]

FILE_NAME = "rooms.json.xz"
KINDS = {0: "kitchen", 2: "living_room", 3: "bedroom", 4: "bathroom"}
"""By the hundreds of a room's number."""
HELD_OUT = 6
"""ALFRED keeps the first rooms of each kind for `valid_unseen` and test; the other 24 are for training."""


class Receptacle(NamedTuple):
    """A piece of furniture."""

    id: str
    """ALFRED's: kind and coordinates in metres, such as `Cabinet|+00.12|+02.27|-02.00`."""
    kind: str
    pose: tuple[int, int, int, int]
    """Where it is reached from: x and z in steps of 0.25 m, quarter turns, degrees of the view downwards."""


@dataclass(frozen=True, slots=True)
class Room:
    """A room without its movable things."""

    number: int
    """1 to 30 kitchens, 201 living rooms, 301 bedrooms, 401 bathrooms."""
    receptacles: tuple[Receptacle, ...]
    things: tuple[str, ...]
    """Kinds of movable things and lamps that are found here."""

    @property
    def kind(self) -> str:
        """What it is used for."""
        return KINDS[self.number // 100]


@dataclass(frozen=True, slots=True)
class Affordances:
    """What may be done with which kind."""

    holds: Mapping[str, tuple[str, ...]]
    """Kind of receptacle -> kinds of things that may lie in it."""
    can: Mapping[str, frozenset[str]]
    """PDDL predicate such as `heatable` -> kinds of things it is true of."""
    openable: frozenset[str]
    """Kinds of receptacles with a door; all are closed at first."""
    containers: frozenset[str]
    """Kinds of movable things that other things may lie in."""
    receptacle_kinds: tuple[str, ...]
    object_kinds: tuple[str, ...]
    """Every kind that a problem may speak of, in a room or not."""


class Rooms(NamedTuple):
    """Everything of the file."""

    train: tuple[Room, ...]
    held_out: tuple[Room, ...]
    affordances: Affordances


@cache
def rooms() -> Rooms:
    """The rooms, read once a process."""
    packed = resources.files(__package__).joinpath(FILE_NAME).read_bytes()
    table = json.loads(lzma.decompress(packed))
    every = [
        Room(
            int(number),
            tuple(
                Receptacle(id_, kind, (pose[0], pose[1], pose[2], pose[3])) for id_, kind, pose in room["receptacles"]
            ),
            tuple(room["things"]),
        )
        for number, room in table["rooms"].items()
    ]
    affordances = Affordances(
        holds={kind: tuple(things) for kind, things in table["holds"].items()},
        can={predicate: frozenset(things) for predicate, things in table["can"].items()},
        openable=frozenset(table["openable"]),
        containers=frozenset(table["containers"]),
        receptacle_kinds=tuple(table["receptacle_kinds"]),
        object_kinds=tuple(table["object_kinds"]),
    )
    return Rooms(
        train=tuple(room for room in every if room.number % 100 > HELD_OUT),
        held_out=tuple(room for room in every if room.number % 100 <= HELD_OUT),
        affordances=affordances,
    )
