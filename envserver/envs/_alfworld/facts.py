"""A problem in numbers: what of a game never changes, and the state it starts in."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from envserver.envs._alfworld.problem import Problem
from envserver.envs._alfworld.row import GameUnreadable
from envserver.envs._alfworld.state import State

__all__ = ["Facts", "number"]


@dataclass(frozen=True, slots=True, eq=False)
class Facts:
    """Objects, receptacles and locations are numbers: places in the sorted tuples of their ids."""

    objects: tuple[str, ...]
    receptacles: tuple[str, ...]
    locations: tuple[str, ...]
    home: tuple[int, ...]
    """Each receptacle's location, -1 where it has none."""
    here: tuple[tuple[int, ...], ...]
    """Receptacles of each location."""
    fits: tuple[int, ...]
    """Objects that may be put into each receptacle."""
    inside: Mapping[int, tuple[int, ...]]
    """Objects inside an object that is itself a vessel."""
    openable: int
    sinks: int
    microwaves: int
    fridges: int
    """Sets of receptacles."""
    portable: int
    cleanable: int
    heatable: int
    coolable: int
    toggleable: int
    sliceable: int
    vessels: int
    knives: int
    """Sets of objects."""


def number(problem: Problem) -> tuple[Facts, State]:
    """The problem in numbers. Raises GameUnreadable."""
    facts: defaultdict[str, tuple[tuple[str, ...], ...]] = defaultdict(tuple, problem.facts)

    def column(at: int, *names: str) -> set[str]:
        return {arguments[at] for name in names for arguments in facts[name]}

    stands = facts["atlocation"]
    if len(stands) != 1:
        raise GameUnreadable(f"the problem places {len(stands)} agents; games of one agent are played")
    agent, start = stands[0]
    objects = tuple(
        sorted(
            column(0, "inreceptacle", "objectatlocation", "objecttype", "inreceptacleobject", *UNARY)
            | column(1, "holds", "inreceptacleobject")
        )
    )
    receptacles = tuple(
        sorted(column(0, "receptacleatlocation", "receptacletype", "openable", "opened") | column(1, "inreceptacle"))
    )
    locations = tuple(sorted(column(1, "atlocation", "receptacleatlocation", "objectatlocation")))
    object_at = {one: at for at, one in enumerate(objects)}
    receptacle_at = {one: at for at, one in enumerate(receptacles)}
    location_at = {one: at for at, one in enumerate(locations)}

    def several(ids: Iterable[str], numbers: Mapping[str, int]) -> int:
        many = 0
        for one in ids:
            many |= 1 << numbers[one]
        return many

    def grouped(pairs: Iterable[tuple[str, ...]], owners: Mapping[str, int]) -> tuple[int, ...]:
        sets = [0] * len(owners)
        for one, owner in pairs:
            sets[owners[owner]] |= 1 << object_at[one]
        return tuple(sets)

    home = [-1] * len(receptacles)
    for receptacle, location in facts["receptacleatlocation"]:
        if home[receptacle_at[receptacle]] >= 0:
            raise GameUnreadable(f"the problem places '{receptacle[:60]}' at two locations")
        home[receptacle_at[receptacle]] = location_at[location]
    here: list[list[int]] = [[] for _ in locations]
    for at, place in enumerate(home):
        if place >= 0:
            here[place].append(at)

    of_type: defaultdict[str, int] = defaultdict(int)
    for one, kind in facts["objecttype"]:
        of_type[kind] |= 1 << object_at[one]
    into: defaultdict[str, int] = defaultdict(int)
    for kind, what in facts["cancontain"]:
        into[kind] |= of_type[what]
    fits = [0] * len(receptacles)
    for receptacle, kind in facts["receptacletype"]:
        fits[receptacle_at[receptacle]] |= into[kind]

    def typed(kind: str) -> int:
        return several((one for one, what in facts["receptacletype"] if what == kind), receptacle_at)

    inside: defaultdict[int, list[int]] = defaultdict(list)
    for inner, outer in facts["inreceptacleobject"]:
        inside[object_at[outer]].append(object_at[inner])

    def with_fact(name: str) -> int:
        return several(column(0, name), object_at)

    static = Facts(
        objects=objects,
        receptacles=receptacles,
        locations=locations,
        home=tuple(home),
        here=tuple(map(tuple, here)),
        fits=tuple(fits),
        inside={outer: tuple(inner) for outer, inner in inside.items()},
        openable=several(column(0, "openable"), receptacle_at),
        sinks=typed("sinkbasintype"),
        microwaves=typed("microwavetype"),
        fridges=typed("fridgetype"),
        portable=with_fact("pickupable"),
        cleanable=with_fact("cleanable"),
        heatable=with_fact("heatable"),
        coolable=with_fact("coolable"),
        toggleable=with_fact("toggleable"),
        sliceable=with_fact("sliceable"),
        vessels=with_fact("isreceptacleobject"),
        knives=of_type["knifetype"] | of_type["butterknifetype"],
    )
    state = State(
        at=location_at[start],
        opened=several(column(0, "opened"), receptacle_at),
        held=several((one for who, one in facts["holds"] if who == agent), object_at),
        busy=(agent,) in facts["holdsany"],
        contents=grouped(facts["inreceptacle"], receptacle_at),
        near=grouped(facts["objectatlocation"], location_at),
        gone=(0,) * len(receptacles),
        clean=with_fact("isclean"),
        hot=with_fact("ishot"),
        cool=with_fact("iscool"),
        on=with_fact("ison"),
        toggled=with_fact("istoggled"),
        sliced=with_fact("issliced"),
    )
    return static, state


# fmt: off
UNARY = (
    "cleanable", "coolable", "heatable", "isclean", "iscool", "ishot", "ison", "isreceptacleobject", "issliced",
    "istoggled", "pickupable", "sliceable", "toggleable",
)
# fmt: on
"""Predicates of one object that the play reads."""
