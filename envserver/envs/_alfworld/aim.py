"""What a goal of ALFWorld asks for, read from the goal itself: things in their place, or one seen in a light."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from envserver.envs._alfworld.facts import Facts
from envserver.envs._alfworld.problem import Goal, Problem

__all__ = ["Aim", "aim"]

TREATMENTS = {"isclean": "clean", "ishot": "heat", "iscool": "cool"}


@dataclass(frozen=True, slots=True)
class Aim:
    """One of ALFWorld's goals."""

    things: int
    """Objects that serve."""
    count: int
    """How many of them are wanted in the same receptacle."""
    receptacles: int
    """Receptacles that serve; of `lamps` none."""
    treatment: str | None
    """`clean`, `heat` or `cool`: what is to be done to the object."""
    lamps: int
    """Lamps, one of which is to be on where the agent stands with the object in hand."""


def aim(problem: Problem, facts: Facts) -> Aim | None:
    """The goal's aim; None where it is none of ALFWorld's."""
    atoms = list(_atoms(problem.goal))
    if any(atom[0] in ("or", "forall", "imply") for atom in atoms):
        return None
    chosen: dict[str, set[str]] = {}
    """What each variable can be, by the facts that never change."""
    for name, *words in atoms:
        if name in ("objecttype", "receptacletype"):
            _narrow(chosen, words[0], {one for one, kind in problem.facts.get(name, ()) if kind == words[1]})
        elif name in ("toggleable", "cleanable", "heatable", "coolable", "pickupable", "sliceable", "openable"):
            _narrow(chosen, words[0], {one for (one,) in problem.facts.get(name, ())})
    placed = [(atom[1], atom[2]) for atom in atoms if atom[0] == "inreceptacle"]
    held = [atom[2] for atom in atoms if atom[0] == "holds"]
    lit = [atom[1] for atom in atoms if atom[0] == "istoggled"]
    treated = [TREATMENTS[atom[0]] for atom in atoms if atom[0] in TREATMENTS]

    def objects(variable: str) -> int:
        found = chosen.get(variable, set())
        return sum(1 << at for at, one in enumerate(facts.objects) if one in found)

    def receptacles(variable: str) -> int:
        found = chosen.get(variable, set())
        return sum(1 << at for at, one in enumerate(facts.receptacles) if one in found)

    if len(held) == len(lit) == 1 and not treated:
        return Aim(objects(held[0]), 1, 0, None, objects(lit[0]))
    if held or lit or not placed or len(treated) > 1 or len({where for _, where in placed}) != 1:
        return None
    things = {objects(what) for what, _ in placed}
    names = {what for what, _ in placed}
    if len(things) != 1 or len(names) > 2 or (len(names) == 2 and treated):
        return None
    return Aim(things.pop(), len(names), receptacles(placed[0][1]), next(iter(treated), None), 0)


def _narrow(chosen: dict[str, set[str]], variable: str, to: set[str]) -> None:
    chosen[variable] = chosen.get(variable, to) & to


def _atoms(goal: Goal) -> Iterator[tuple[str, ...]]:
    """The formula's facts; what is neither `and`, `exists` nor one of those stands as its operator alone."""
    op = goal[0] if goal else "and"
    if op == "and":
        for part in goal[1:]:
            if not isinstance(part, str):
                yield from _atoms(part)
    elif op == "exists":
        if not isinstance(goal[2], str):
            yield from _atoms(goal[2])
    elif op in ("or", "forall", "imply"):
        yield (str(op),)
    elif all(isinstance(word, str) for word in goal):
        yield tuple(map(str, goal))
