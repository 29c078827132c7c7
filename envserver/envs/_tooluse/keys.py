"""What a key names: a family, how many calls, how hard, a split and a number.

A key has one spelling. A program belongs to one split by its content, so no two splits share one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from random import Random

from envserver import plugins
from envserver.envs._tooluse.program import Program
from envserver.numbered import SIZES, belongs

__all__ = ["CALLS", "LEVELS", "ProgramKey", "drawn", "families", "family", "parse"]

SHELF = "envserver.envs._tooluse.families"
CALLS = (8, 100)
"""Shortest and longest plan."""
LEVELS = 3
ATTEMPTS = 2000

KEY = re.compile(r"([a-z][a-z_]*)/h([1-9][0-9]{0,2})-d([1-9])/([a-z]+)/([0-9]{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProgramKey:
    """One program."""

    family: str
    calls: int
    """Of its plan, `done` included."""
    level: int
    split: str
    number: int

    def __str__(self) -> str:
        return f"{self.family}/h{self.calls}-d{self.level}/{self.split}/{self.number:04d}"


def parse(key: str) -> ProgramKey:
    """The program a key names. Raises KeyError, with what is wrong, where it names none."""
    match = KEY.fullmatch(key)
    if match is None:
        raise KeyError(f"tooluse has no key {key[:80]!r}; keys look like inventory/h12-d1/train/0042")
    found = ProgramKey(match[1], int(match[2]), int(match[3]), match[4], int(match[5]))
    if found.family not in families():
        raise KeyError(f"tooluse has no family '{found.family[:40]}'; there are: {', '.join(families())}")
    if not CALLS[0] <= found.calls <= CALLS[1] or found.level > LEVELS:
        raise KeyError(f"h is {CALLS[0]} to {CALLS[1]} and d is 1 to {LEVELS}, not h{found.calls}-d{found.level}")
    if found.split not in SIZES:
        raise KeyError(f"tooluse has no split '{found.split[:40]}'; there are: {', '.join(SIZES)}")
    if found.number >= SIZES[found.split]:
        last = SIZES[found.split] - 1
        raise KeyError(f"the {found.split} split's programs are numbered 0000 to {last:04d}, not {found.number:04d}")
    return found


@cache
def families() -> tuple[str, ...]:
    """Names of all families."""
    return tuple(plugins.names(SHELF))


@cache
def family(name: str) -> type[Program]:
    """The class of a family."""
    return plugins.load(SHELF, name, Program)  # type: ignore[type-abstract]


def drawn(key: ProgramKey, seed: int) -> Program:
    """The program of a key and a seed: the first one drawn that belongs to the key's split."""
    kind, rng = family(key.family), Random(f"{key}#{seed}")
    for _ in range(ATTEMPTS):
        program = kind(rng, key.calls, key.level)
        if belongs(repr(vars(program)), key.split):
            return program
    raise RuntimeError(f"no program of {key} was found in {ATTEMPTS} draws; that is a fault of the family")
