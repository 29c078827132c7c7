"""What a key names: a family, how hard, a split and a number; the problem drawn for it, with its cases.

A key has one spelling. A problem belongs to one split by its words, so no two splits share one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from random import Random

from envserver import plugins
from envserver.envs._python.exact import equal
from envserver.envs._python.problem import Case, Coding, Maths, Problem
from envserver.numbered import SIZES, belongs

__all__ = ["LEVELS", "Drawn", "ProblemKey", "drawn", "families", "family", "parse"]

SHELF = "envserver.envs._python.families"
LEVELS = 3
ATTEMPTS = 2000
GUESSES = ("0", "1", "-1")
"""Values that no problem of `Maths` has."""

KEY = re.compile(r"([a-z][a-z_]*)/d([1-9])/([a-z]+)/([0-9]{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class ProblemKey:
    """One problem."""

    family: str
    level: int
    split: str
    number: int

    def __str__(self) -> str:
        return f"{self.family}/d{self.level}/{self.split}/{self.number:04d}"


@dataclass(frozen=True, slots=True)
class Drawn:
    """A problem, and of `Coding` its cases."""

    problem: Problem
    shown: list[Case]
    hidden: list[Case]


def parse(key: str) -> ProblemKey:
    """The problem a key names. Raises KeyError, with what is wrong, where it names none."""
    match = KEY.fullmatch(key)
    if match is None:
        raise KeyError(f"python has no key {key[:80]!r}; keys look like stairs/d1/train/0042")
    found = ProblemKey(match[1], int(match[2]), match[3], int(match[4]))
    if found.family not in families():
        raise KeyError(f"python has no family '{found.family[:40]}'; there are: {', '.join(families())}")
    if found.level > LEVELS:
        raise KeyError(f"d is 1 to {LEVELS}, not {found.level}")
    if found.split not in SIZES:
        raise KeyError(f"python has no split '{found.split[:40]}'; there are: {', '.join(SIZES)}")
    if found.number >= SIZES[found.split]:
        last = SIZES[found.split] - 1
        raise KeyError(f"the {found.split} split's problems are numbered 0000 to {last:04d}, not {found.number:04d}")
    return found


@cache
def families() -> tuple[str, ...]:
    """Names of all families."""
    return tuple(plugins.names(SHELF))


@cache
def family(name: str) -> type[Problem]:
    """The class of a family."""
    return plugins.load(SHELF, name, Problem)  # type: ignore[type-abstract]


def drawn(key: ProblemKey, seed: int) -> Drawn:
    """The problem of a key and a seed: the first drawn that is of the key's split and cannot be guessed."""
    kind, rng = family(key.family), Random(f"{key}#{seed}")
    for _ in range(ATTEMPTS):
        problem = kind(rng, key.level)
        if not belongs(problem.words, key.split):
            continue
        if isinstance(problem, Maths) and not any(equal(problem.value, guess) for guess in GUESSES):
            return Drawn(problem, [], [])
        if isinstance(problem, Coding) and (cases := problem.cases(rng)) is not None:
            return Drawn(problem, *cases)
    raise RuntimeError(f"no problem of {key} was found in {ATTEMPTS} draws; that is a fault of the family")
