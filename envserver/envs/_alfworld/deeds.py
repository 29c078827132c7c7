"""What can be done in a state of ALFWorld and what it changes: the ALFRED domain's actions (alfred.pddl, MIT).

The domain's own turns are kept: taking needs an empty hand, an object may lie in several receptacles and is taken from
one of them, cleaning asks for no open door, and only what is held can be examined.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from envserver.envs._alfworld.facts import Facts
from envserver.envs._alfworld.state import State, members, replaced

__all__ = ["CHANGES", "Deed", "done", "possible"]


class Deed(NamedTuple):
    """An action and the numbers it is done with."""

    verb: str
    what: int = -1
    """An object; of `go`, `open`, `close` and `face` a receptacle."""
    where: int = -1
    """A receptacle; of `slice` the knife."""


CHANGES: Mapping[str, frozenset[str]] = {
    "go": frozenset(("atlocation",)),
    "open": frozenset(("opened",)),
    "close": frozenset(("opened",)),
    "take": frozenset(("holds", "holdsany", "inreceptacle", "objectatlocation")),
    "put": frozenset(("holds", "holdsany", "inreceptacle", "objectatlocation")),
    "use": frozenset(("ison", "istoggled")),
    "clean": frozenset(("isclean",)),
    "heat": frozenset(("ishot", "iscool")),
    "cool": frozenset(("ishot", "iscool")),
    "slice": frozenset(("issliced",)),
}
"""Predicates that a verb changes; the verbs that are missing only show something."""


def possible(
    facts: Facts, state: State, objects: tuple[str, ...], receptacles: tuple[str, ...], put: str
) -> dict[str, Deed]:
    """The commands that depend on the state: all but going, and those that are always possible."""
    found: dict[str, Deed] = {}
    held = list(members(state.held))
    for at in facts.here[state.at]:
        name, bit, contents = receptacles[at], 1 << at, state.contents[at]
        found[f"examine {name}"] = Deed("face", at)
        accessible = True
        if facts.openable & bit:
            accessible = bool(state.opened & bit)
            verb = "close" if accessible else "open"
            found[f"{verb} {name}"] = Deed(verb, at)
        if accessible and not state.busy:
            for one in members(contents & facts.portable):
                found[f"take {objects[one]} from {name}"] = Deed("take", one, at)
        for one in members(contents & facts.toggleable):
            found[f"use {objects[one]}"] = Deed("use", one, at)
        for one in held:
            mine = 1 << one
            if accessible and facts.fits[at] & mine:
                found[put.format(objects[one], name)] = Deed("put", one, at)
            if facts.sinks & bit and facts.cleanable & mine:
                found[f"clean {objects[one]} with {name}"] = Deed("clean", one, at)
            if facts.microwaves & bit and facts.heatable & mine:
                found[f"heat {objects[one]} with {name}"] = Deed("heat", one, at)
            if facts.fridges & bit and facts.coolable & mine:
                found[f"cool {objects[one]} with {name}"] = Deed("cool", one, at)
    for one in held:
        found[f"examine {objects[one]}"] = Deed("examine", one)
        if facts.knives >> one & 1:
            for what in members(state.near[state.at] & facts.sliceable):
                found[f"slice {objects[what]} with {objects[one]}"] = Deed("slice", what, one)
    return found


def done(facts: Facts, state: State, deed: Deed) -> State:
    """The state after a deed that is possible."""
    verb, what, where = deed
    if verb == "go":
        return state._replace(at=facts.home[what])
    if verb == "open":
        return state._replace(opened=state.opened | 1 << what)
    if verb == "close":
        return state._replace(opened=state.opened & ~(1 << what))
    if verb not in CHANGES:
        return state
    one = 1 << what
    if verb == "take":
        return state._replace(
            held=state.held | one,
            busy=True,
            contents=replaced(state.contents, where, state.contents[where] & ~one),
            near=replaced(state.near, state.at, state.near[state.at] & ~one),
            gone=replaced(state.gone, where, state.gone[where] | one),
        )
    if verb == "put":
        return state._replace(
            held=state.held & ~one,
            busy=False,
            contents=replaced(state.contents, where, state.contents[where] | one),
            near=replaced(state.near, state.at, state.near[state.at] | one),
            gone=replaced(state.gone, where, state.gone[where] & ~one),
        )
    if verb == "use":
        return state._replace(on=state.on ^ one, toggled=state.toggled | one)
    if verb == "clean":
        return state._replace(clean=state.clean | one)
    if verb == "heat":
        return state._replace(hot=state.hot | one, cool=state.cool & ~one)
    if verb == "cool":
        return state._replace(cool=state.cool | one, hot=state.hot & ~one)
    return state._replace(sliced=state.sliced | one)
