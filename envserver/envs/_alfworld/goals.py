"""The six kinds of task: how each is said in PDDL and in a sentence. Both are ALFWorld's (MIT, `rooms.LICENSE`)."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GOALS", "TYPES", "Goal"]


class Goal(NamedTuple):
    """One kind of task."""

    pddl: str
    """Of the problem's `:goal`; {thing}, {receptacle} and {lamp} are kinds."""
    sentences: tuple[str, ...]
    station: str = ""
    """Kind of receptacle that changes the thing on the way."""
    change: str = ""
    """Predicate a thing must have to be changed there."""


def _placed(state: str = "", able: str = "") -> str:
    """Some thing of the kind lies in some receptacle of the kind, in that state."""
    states = f" ({able} ?o) ({state} ?o)" if state else ""
    return (
        "(and (exists (?r - receptacle) (exists (?o - object) (and (inReceptacle ?o ?r)"
        f" (objectType ?o {{thing}}Type) (receptacleType ?r {{receptacle}}Type){states}))))"
    )


GOALS = {
    "pick_and_place_simple": Goal(_placed(), ("put a {thing} in {receptacle}", "put some {thing} on {receptacle}")),
    "look_at_obj_in_light": Goal(
        "(and (exists (?ot - object ?r - receptacle ?a - agent ?l - location) (and (objectType ?ot {lamp}Type)"
        " (toggleable ?ot) (isToggled ?ot) (receptacleAtLocation ?r ?l) (atLocation ?a ?l) (inReceptacle ?ot ?r)))"
        " (exists (?o - object ?a - agent) (and (objectType ?o {thing}Type) (holds ?a ?o))))",
        ("look at {thing} under the {lamp}", "examine the {thing} with the {lamp}"),
    ),
    "pick_clean_then_place_in_recep": Goal(
        _placed("isClean", "cleanable"),
        ("put a clean {thing} in {receptacle}", "clean some {thing} and put it in {receptacle}"),
        "SinkBasin",
        "cleanable",
    ),
    "pick_heat_then_place_in_recep": Goal(
        _placed("isHot", "heatable"),
        ("put a hot {thing} in {receptacle}", "heat some {thing} and put it in {receptacle}"),
        "Microwave",
        "heatable",
    ),
    "pick_cool_then_place_in_recep": Goal(
        _placed("isCool", "coolable"),
        ("put a cool {thing} in {receptacle}", "cool some {thing} and put it in {receptacle}"),
        "Fridge",
        "coolable",
    ),
    "pick_two_obj_and_place": Goal(
        "(and (exists (?r - receptacle) (exists (?o1 - object) (and (objectType ?o1 {thing}Type)"
        " (receptacleType ?r {receptacle}Type) (inReceptacle ?o1 ?r) (exists (?o2 - object) (and (not (= ?o1 ?o2))"
        " (objectType ?o2 {thing}Type) (receptacleType ?r {receptacle}Type) (inReceptacle ?o2 ?r)))))))",
        ("put two {thing} in {receptacle}", "find two {thing} and put them in {receptacle}"),
    ),
}
"""By name, in the order of ALFWorld's numbers 1 to 6."""

TYPES = tuple(GOALS)
