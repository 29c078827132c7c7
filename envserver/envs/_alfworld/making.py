"""Makes a game from its key: one of ALFRED's rooms, things where they may lie, a goal that is proven winnable.

Types, rooms, what fits where and the goals' wording are ALFRED's; which things lie where is drawn. `train` and
`valid_seen` share 96 rooms, `valid_unseen` has the 24 that ALFRED holds out. The same key makes the same bytes in every
process. Unlike the official games there is no immovable clutter and nothing lies inside a movable container; whatever
can be picked up can also be put back, so no game has a dead end.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache

from envserver.envs._alfworld.goals import GOALS, Goal
from envserver.envs._alfworld.keys import GeneratedKey
from envserver.envs._alfworld.oracle import plan
from envserver.envs._alfworld.play import Game, Play
from envserver.envs._alfworld.rooms import Receptacle, Room, rooms
from envserver.envs._alfworld.row import Dialect, Row

__all__ = ["make"]

ATTEMPTS = 64
"""Draws a key may try."""
COUNTS = (1, 1, 2, 2, 3)
"""Things of a kind in a room; their mean gives a kitchen the 45 things that an official one has."""
LAMPS = ("DeskLamp", "FloorLamp")
LAMP_STANDS = ("Desk", "SideTable", "Dresser", "Shelf", "CoffeeTable", "TVStand")
MANGLED = str.maketrans({"|": "_bar_", "+": "_plus_", "-": "_minus_", ".": "_dot_", ",": "_comma_"})


def make(key: GeneratedKey, dialect: Dialect = "0.4") -> tuple[Row, Game]:
    """The game of a key, proven winnable, and as it was loaded to prove it."""
    for attempt in range(ATTEMPTS):
        row = _draw(key, random.Random(f"{key}#{attempt}"))
        if row is not None and _proven(game := Game.load(row, dialect)):
            return row, game
    raise AssertionError(f"{key}: {ATTEMPTS} draws gave no game that can be won")


def _proven(game: Game) -> bool:
    """Whether the game is not won at its start and the oracle's plan wins it."""
    play = Play(game)
    commands = None if play.won else plan(play)
    for command in commands or ():
        play.step(command)
    return play.won and bool(commands)


@dataclass
class _Scene:
    """A room with things in it."""

    room: Room
    rng: random.Random
    lies: dict[str, tuple[str, Receptacle]] = field(default_factory=dict)
    """Thing's id -> its kind, and where it lies."""

    def places(self, kind: str) -> list[Receptacle]:
        """Receptacles that a thing of this kind may lie in."""
        holds = rooms().affordances.holds
        return [receptacle for receptacle in self.room.receptacles if kind in holds[receptacle.kind]]

    def put(self, kind: str, where: Receptacle) -> None:
        """One more thing, close to its receptacle's coordinates."""
        x, y, z = (float(number) for number in where.id.split("|")[1:4])
        while True:
            east, north = (value + self.rng.uniform(-0.3, 0.3) for value in (x, z))
            name = f"{kind}|{east:+06.2f}|{y + 0.02:+06.2f}|{north:+06.2f}"
            if name not in self.lies:
                break
        self.lies[name] = (kind, where)

    def fill(self) -> None:
        """Things of every kind the room has, where they may lie."""
        for kind in self.room.things:
            places = (
                [receptacle for receptacle in self.room.receptacles if receptacle.kind in LAMP_STANDS]
                if kind in LAMPS
                else self.places(kind)
            )
            for _ in range(1 if kind in LAMPS else self.rng.choice(COUNTS)):
                if places:
                    self.put(kind, self.rng.choice(places))

    @property
    def kinds(self) -> list[str]:
        """Kinds of things that lie here, sorted."""
        return sorted({kind for kind, _ in self.lies.values()})


def _draw(key: GeneratedKey, rng: random.Random) -> Row | None:
    """A game, or None where the room that was drawn has no goal of this type."""
    goal = GOALS[key.task_type]
    needs_lamp = key.task_type == "look_at_obj_in_light"
    room = rng.choice(_fitting(key.family, goal.station, needs_lamp, key.split == "valid_unseen"))
    scene = _Scene(room, rng)
    scene.fill()
    pickable = [kind for kind in scene.kinds if kind not in LAMPS]
    lamp = target = ""
    if key.task_type == "look_at_obj_in_light":
        lamps = [kind for kind in LAMPS if kind in scene.kinds]
        if not lamps or not pickable:
            return None
        lamp, thing = rng.choice(lamps), rng.choice(pickable)
    else:
        pairs = _pairs(scene, goal, pickable)
        if not pairs:
            return None
        thing, target = rng.choice(pairs)
        if not _unsolve(scene, thing, target, 2 if key.task_type == "pick_two_obj_and_place" else 1):
            return None
    words = {"thing": thing, "receptacle": target, "lamp": lamp}
    return Row(
        id=str(key),
        task=rng.choice(goal.sentences).format(**{name: kind.lower() for name, kind in words.items()}),
        task_type=key.task_type,
        params={
            "mrecep_target": "",
            "object_sliced": False,
            "object_target": thing,
            "parent_target": target,
            "toggle_target": lamp,
        },
        anns=(),
        problem=_problem(f"{key.task_type}_{key.split}_{key.number:04d}", scene, goal.pddl.format(**words)),
    )


@cache
def _fitting(family: str, station: str, needs_lamp: bool, held_out: bool) -> tuple[Room, ...]:
    """Rooms in which such a game may be."""
    shelf = rooms().held_out if held_out else rooms().train
    return tuple(
        room
        for room in shelf
        if family in ("generated", room.kind)
        and (not station or any(receptacle.kind == station for receptacle in room.receptacles))
        and (not needs_lamp or any(lamp in room.things for lamp in LAMPS))
    )


def _pairs(scene: _Scene, goal: Goal, pickable: Sequence[str]) -> list[tuple[str, str]]:
    """Which kind of thing may be asked for in which kind of receptacle."""
    can = rooms().affordances.can
    return [
        (thing, target)
        for thing in pickable
        if not goal.change or thing in can[goal.change]
        for target in sorted({receptacle.kind for receptacle in scene.places(thing)} - {goal.station})
    ]


def _unsolve(scene: _Scene, thing: str, target: str, needed: int) -> bool:
    """Sees to `needed` things of the kind, none in the target's kind; False where they can lie nowhere else."""
    elsewhere = [receptacle for receptacle in scene.places(thing) if receptacle.kind != target]
    if not elsewhere:
        return False
    while sum(kind == thing for kind, _ in scene.lies.values()) < needed:
        scene.put(thing, scene.rng.choice(elsewhere))
    for name, (kind, where) in scene.lies.items():
        if kind == thing and where.kind == target:
            scene.lies[name] = (kind, scene.rng.choice(elsewhere))
    return True


def _problem(title: str, scene: _Scene, goal: str) -> str:
    """The game as PDDL, objects and facts sorted."""
    table = rooms().affordances
    receptacles = sorted(scene.room.receptacles)
    things = [(_mangled(name), kind, where) for name, (kind, where) in sorted(scene.lies.items())]
    stands = sorted({_location(receptacle.pose) for receptacle in receptacles})
    x, z, turn, _ = scene.rng.choice(receptacles).pose
    start = next(spot for tilt in range(30, 90) if (spot := _location((x + 1, z + 1, turn, tilt))) not in stands)
    facts = []
    for receptacle in receptacles:
        name = _mangled(receptacle.id)
        facts.append(f"receptacleType {name} {receptacle.kind}Type")
        facts.append(f"receptacleAtLocation {name} {_location(receptacle.pose)}")
        if receptacle.kind in table.openable:
            facts.append(f"openable {name}")
    for thing, kind, where in things:
        facts.append(f"objectType {thing} {kind}Type")
        facts.append(f"inReceptacle {thing} {_mangled(where.id)}")
        facts.append(f"objectAtLocation {thing} {_location(where.pose)}")
        facts += [f"{predicate} {thing}" for predicate in sorted(table.can) if kind in table.can[predicate]]
        if kind in table.containers:
            facts.append(f"isReceptacleObject {thing}")
    for kind in sorted({receptacle.kind for receptacle in receptacles}):
        facts += [f"canContain {kind}Type {other}Type" for other in scene.kinds if other in table.holds[kind]]
    facts.append(f"atLocation agent1 {start}")
    objects = [
        "agent1 - agent",
        *(f"{kind}Type - otype" for kind in table.object_kinds),
        *(f"{kind}Type - rtype" for kind in table.receptacle_kinds),
        *(f"{thing} - object" for thing, _, _ in things),
        *(f"{_mangled(receptacle.id)} - receptacle" for receptacle in receptacles),
        *(f"{spot} - location" for spot in (*stands, start)),
    ]
    lines = ["", f"(define (problem plan_{title})", "(:domain alfred)", "(:objects", *objects, ")", "(:init"]
    return "\n".join([*lines, *(f"({fact})" for fact in facts), ")", f"(:goal {goal})", ")", ""])


@lru_cache(maxsize=8192)
def _mangled(name: str) -> str:
    """An id as PDDL can spell it."""
    return name.translate(MANGLED)


@lru_cache(maxsize=8192)
def _location(pose: tuple[int, int, int, int]) -> str:
    return _mangled("loc|" + "|".join(str(number) for number in pose))
