"""Reads a PDDL problem of the ALFRED domain: objects, facts, goal. What cannot be read is said, not guessed.

Everything is lower-cased, as the planner that the official games run on does.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from envserver.envs._alfworld.row import GameUnreadable

__all__ = ["PREDICATES", "TYPES", "Goal", "Problem", "read"]

TYPES = ("agent", "location", "receptacle", "object", "rtype", "otype")
PREDICATES: Mapping[str, int] = {
    "atlocation": 2,
    "cancontain": 2,
    "checked": 1,
    "cleanable": 1,
    "coolable": 1,
    "examined": 1,
    "full": 1,
    "heatable": 1,
    "holds": 2,
    "holdsany": 1,
    "holdsanyreceptacleobject": 1,
    "inreceptacle": 2,
    "inreceptacleobject": 2,
    "isclean": 1,
    "iscool": 1,
    "ishot": 1,
    "ison": 1,
    "isreceptacleobject": 1,
    "isreceptacleobjectfull": 1,
    "issliced": 1,
    "istoggled": 1,
    "moveable": 1,
    "objectatlocation": 2,
    "objecttype": 2,
    "openable": 1,
    "opened": 1,
    "pickupable": 1,
    "receptacleatlocation": 2,
    "receptacletype": 2,
    "sliceable": 1,
    "toggleable": 1,
    "wasinreceptacle": 2,
}
"""The domain's predicates and how many arguments each has."""

Goal = tuple["str | Goal", ...]
"""A formula as nested tuples: ("and", ("inreceptacle", "?o", "?r"), ...)."""

LONGEST = 4_000_000
"""Characters; the longest official problem has 102,000."""
DEEPEST = 64
ATOM = r"\([^()]*+\)"
OBJECTS = re.compile(r"\(\s*:objects\b([^()]*+)\)")
INIT = re.compile(rf"\(\s*:init\b((?:\s*+(?:{ATOM}|\(\s*+=\s*+{ATOM}\s*+[^\s()]++\s*+\)))*+)\s*+\)")
GOAL = re.compile(r"\(\s*:goal\b")
FLAT = re.compile(r"\(([^()=]*+)\)")
COST = re.compile(rf"\(\s*=\s*{ATOM}\s*[^\s()]+\s*\)")
TOKEN = re.compile(r"[()]|[^\s()]+")


@dataclass(frozen=True, slots=True)
class Problem:
    """What a problem says."""

    types: Mapping[str, str]
    """Each object's type."""
    facts: Mapping[str, tuple[tuple[str, ...], ...]]
    """Arguments of what holds at the start, by predicate, sorted, each once."""
    goal: Goal


def read(text: str) -> Problem:
    """The problem. Raises GameUnreadable."""
    if len(text) > LONGEST:
        raise GameUnreadable(f"the problem has {len(text)} characters; at most {LONGEST} are read")
    text = text.lower()
    if ";" in text:
        text = re.sub(r";[^\n]*", "", text)
    if not re.match(r"\s*\(\s*define\b", text):
        raise GameUnreadable(f"this is no PDDL problem: it begins with {text.strip()[:40]!r}, not with '(define'")
    found = {}
    for name, pattern in (("objects", OBJECTS), ("init", INIT), ("goal", GOAL)):
        match = pattern.search(text)
        if match is None:
            what = "has no" if not re.search(rf"\(\s*:{name}\b", text) else "has a damaged"
            raise GameUnreadable(f"the problem {what} ':{name}' section")
        found[name] = match
    types = _types(found["objects"][1])
    return Problem(types, _facts(found["init"][1], types), _goal(text, found["goal"].end()))


def _types(section: str) -> dict[str, str]:
    types: dict[str, str] = {}
    names: list[str] = []
    words = iter(section.split())
    for word in words:
        if word != "-":
            names.append(word)
            continue
        kind = next(words, "")
        if kind not in TYPES:
            raise GameUnreadable(f"'{_short(names[-1] if names else '')}' is of the unknown type '{_short(kind)}'")
        types.update(dict.fromkeys(names, kind))
        names.clear()
    if names:
        raise GameUnreadable(f"'{_short(names[-1])}' is declared without a type")
    return types


def _facts(section: str, types: Mapping[str, str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    if "=" in section:
        section = COST.sub("", section)
    facts: dict[str, set[tuple[str, ...]]] = {}
    for atom in FLAT.findall(section):
        name, *arguments = atom.split() or ("",)
        if PREDICATES.get(name) != len(arguments):
            raise GameUnreadable(f"the start has the unknown fact '({_short(' '.join(atom.split()))})'")
        facts.setdefault(name, set()).add(tuple(arguments))
    for fact in {one for many in facts.values() for arguments in many for one in arguments}:
        if fact not in types:
            raise GameUnreadable(f"the start names '{_short(fact)}', which is not among the objects")
    return {name: tuple(sorted(many)) for name, many in facts.items()}


def _goal(text: str, at: int) -> Goal:
    """The formula that begins at `at`, behind '(:goal'."""
    stack: list[list[str | Goal]] = [[]]
    for match in TOKEN.finditer(text, at):
        token = match[0]
        if token == "(":
            stack.append([])
            if len(stack) > DEEPEST:
                raise GameUnreadable(f"the goal is nested more than {DEEPEST} deep")
        elif token != ")":
            stack[-1].append(token)
        elif len(stack) > 1:
            done = tuple(stack.pop())
            stack[-1].append(done)
        else:
            break
    else:
        raise GameUnreadable("the problem ends in the middle of its goal")
    if len(stack[0]) != 1 or isinstance(stack[0][0], str):
        raise GameUnreadable("the problem's goal is not one formula")
    return stack[0][0]


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."
