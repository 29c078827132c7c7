"""What a key names: a family, how many packages, how many defects, how precise the report is, a split and a number.

A key has one spelling. A defect belongs to one split by what it changes, whatever the names and constants around it
are, so nothing that is to be found in one split is to be found in another.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from envserver import plugins
from envserver.envs._repo.project import Family
from envserver.numbered import SIZES

__all__ = [
    "DEFECTS",
    "PACKAGES",
    "PARTS",
    "REPORTS",
    "SHARES",
    "RepoKey",
    "families",
    "family",
    "parse",
]

SHELF = "envserver.envs._repo.families"
PACKAGES = 3
DEFECTS = 3
REPORTS = 3
"""1: an example with what it should give; 2: what does not hold, in words; 3: where to look."""
PARTS = 12
SHARES = {"train": range(8), "valid": range(8, 10), "test": range(10, 12)}
"""Of PARTS parts of all sites of defects, those of each split."""

KEY = re.compile(r"([a-z][a-z_]*)/n([1-9])-k([1-9])-r([1-9])/([a-z]+)/([0-9]{4})", re.ASCII)


@dataclass(frozen=True, slots=True)
class RepoKey:
    """One generated repository."""

    family: str
    """Of the package that the defects are in."""
    packages: int
    defects: int
    report: int
    split: str
    number: int

    def __str__(self) -> str:
        dials = f"n{self.packages}-k{self.defects}-r{self.report}"
        return f"{self.family}/{dials}/{self.split}/{self.number:04d}"


def parse(key: str) -> RepoKey:
    """The repository a key names. Raises KeyError, with what is wrong, where it names none."""
    match = KEY.fullmatch(key)
    if match is None:
        raise KeyError(f"repo has no key {key[:80]!r}; keys look like inventory/n1-k1-r1/train/0042")
    found = RepoKey(match[1], int(match[2]), int(match[3]), int(match[4]), match[5], int(match[6]))
    if found.family not in families():
        raise KeyError(f"repo has no family '{found.family[:40]}'; there are: {', '.join(families())}")
    if found.packages > PACKAGES or found.defects > DEFECTS or found.report > REPORTS:
        raise KeyError(f"n, k and r are 1 to {PACKAGES}, not n{found.packages}-k{found.defects}-r{found.report}")
    if found.split not in SIZES:
        raise KeyError(f"repo has no split '{found.split[:40]}'; there are: {', '.join(SIZES)}")
    if found.number >= SIZES[found.split]:
        last = SIZES[found.split] - 1
        raise KeyError(f"the {found.split} split's numbers are 0000 to {last:04d}, not {found.number:04d}")
    return found


@cache
def families() -> tuple[str, ...]:
    """Names of all families."""
    return tuple(plugins.names(SHELF))


@cache
def family(name: str) -> Family:
    """A family."""
    return plugins.load(SHELF, name, Family)()  # type: ignore[type-abstract]
