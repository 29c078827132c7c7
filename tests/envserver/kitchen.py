"""A small ALFWorld kitchen with all that the domain knows, whose goal the test chooses."""

from __future__ import annotations

from envserver.envs._alfworld.play import Game, Play
from envserver.envs._alfworld.row import Row

RECEPTACLES = {
    "fridge_bar_1": ("fridge", "loc_bar_1", True),
    "microwave_bar_1": ("microwave", "loc_bar_2", True),
    "sink_bar_1_bar_sinkbasin": ("sinkbasin", "loc_bar_3", False),
    "countertop_bar_1": ("countertop", "loc_bar_4", False),
    "cabinet_bar_1": ("cabinet", "loc_bar_5", True),
    "cabinet_bar_2": ("cabinet", "loc_bar_5", True),
    "sidetable_bar_1": ("sidetable", "loc_bar_6", False),
}
"""Type, location, and whether it has a door."""
THINGS = {
    "apple_bar_1": ("apple", "fridge_bar_1", "pickupable cleanable heatable coolable sliceable iscool"),
    "apple_bar_2": ("apple", "countertop_bar_1", "pickupable cleanable heatable coolable sliceable"),
    "mug_bar_1": ("mug", "cabinet_bar_1", "pickupable cleanable heatable coolable isreceptacleobject"),
    "knife_bar_1": ("knife", "countertop_bar_1", "pickupable cleanable"),
    "teddybear_bar_1": ("teddybear", "sidetable_bar_1", "pickupable"),
    "desklamp_bar_1": ("desklamp", "sidetable_bar_1", "toggleable"),
    "spoon_bar_1": ("spoon", "sidetable_bar_1", "pickupable cleanable"),
}
"""Type, receptacle, and what else is true of it."""
FITS = "fridge apple, microwave apple, sinkbasin apple, countertop apple, cabinet mug, sinkbasin mug, countertop mug, "
FITS += "countertop knife, sidetable apple, sidetable spoon, countertop spoon, cabinet spoon"

APPLE_IN_SINK = "(exists (?r - receptacle ?o - object) (and (objecttype ?o appletype) " + (
    "(receptacletype ?r sinkbasintype) (inreceptacle ?o ?r)))"
)


def problem(goal: str = APPLE_IN_SINK, *, more: str = "", start: str = "loc_bar_9") -> str:
    objects = ["agent1 - agent", *(f"loc_bar_{at} - location" for at in range(1, 10))]
    facts = [f"(atlocation agent1 {start})", more]
    for one, (kind, place, door) in RECEPTACLES.items():
        objects += [f"{one} - receptacle"]
        facts += [f"(receptacletype {one} {kind}type)", f"(receptacleatlocation {one} {place})"]
        facts += [f"(openable {one})"] * door
    for one, (kind, where, marks) in THINGS.items():
        objects += [f"{one} - object"]
        facts += [f"(objecttype {one} {kind}type)", f"(inreceptacle {one} {where})"]
        facts += [f"(objectatlocation {one} {RECEPTACLES[where][1]})", *(f"({mark} {one})" for mark in marks.split())]
    facts += [f"(cancontain {pair.split()[0]}type {pair.split()[1]}type)" for pair in FITS.split(", ")]
    objects += [f"{kind}type - rtype" for kind in dict.fromkeys(kind for kind, _, _ in RECEPTACLES.values())]
    objects += [f"{kind}type - otype" for kind in dict.fromkeys(kind for kind, _, _ in THINGS.values())]
    facts += ["(inreceptacleobject spoon_bar_1 mug_bar_1)"]
    body = f"(:objects {chr(10).join(objects)})\n(:init {chr(10).join(facts)})\n(:goal {goal})"
    return f"(define (problem kitchen)\n(:domain alfred)\n{body}\n)"


def row(goal: str = APPLE_IN_SINK, **more: str) -> Row:
    return Row("kitchen", "put some apple in sinkbasin", "pick_and_place_simple", {}, (), problem(goal, **more))


def play(goal: str = APPLE_IN_SINK, dialect: str = "0.4", **more: str) -> Play:
    return Play(Game.load(row(goal, **more), dialect))  # type: ignore[arg-type]


def said(playing: Play, *commands: str) -> list[str]:
    return [playing.step(command) for command in commands]
