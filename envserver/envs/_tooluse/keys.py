"""What a key names: a family, how many calls, how hard, a split and a number.

A key has one spelling. A program belongs to one split by its content, so no two splits share one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from random import Random
from zlib import crc32

from envserver import plugins
from envserver.envs._tooluse.program import Program
from envserver.numbered import LazyKeys

__all__ = ["CALLS", "LEVELS", "SIZES", "MixedKeys", "ProgramKey", "belongs", "drawn", "families", "family", "parse"]

SHELF = "envserver.envs._tooluse.families"
CALLS = (8, 100)
"""Shortest and longest plan."""
LEVELS = 3
SIZES = {"train": 10_000, "valid": 1_000, "test": 1_000}
SHARES = {"train": range(10), "valid": range(10, 11), "test": range(11, 12)}
"""Of twelve parts of all programs, those of each split."""
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


def belongs(content: str, split: str) -> bool:
    """Whether what has this content is of a split. Raises KeyError for a split that is not there."""
    return crc32(content.encode()) % 12 in SHARES[split]


class MixedKeys(LazyKeys):
    """The keys of one split, families by weight; every prefix is mixed as the whole is."""

    def __init__(self, weights: Mapping[str, int], calls: int, level: int, split: str) -> None:
        """Raises KeyError for a split that is not there."""
        super().__init__(SIZES[split])
        self._tail = f"h{calls}-d{level}/{split}"
        taken = dict.fromkeys(weights, 0)
        self._round: list[str] = []
        for _ in range(sum(weights.values())):
            name = min(weights, key=lambda name: (taken[name] + 0.5) / weights[name])
            taken[name] += 1
            self._round.append(name)

    def key(self, number: int) -> str:
        """The family whose turn it is, and its number."""
        return f"{self._round[number % len(self._round)]}/{self._tail}/{number:04d}"
