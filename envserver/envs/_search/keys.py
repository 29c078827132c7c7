"""What a key names: how many hops, how hard, a split and a number; or a question of the server's own file.

A question belongs to one split by the fact that answers it, so what is asked in one split is asked in no other, at any
number of hops.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from zlib import crc32

__all__ = ["HOPS", "LEVELS", "SIZES", "GeneratedKey", "OwnKey", "parse", "split_of"]

HOPS = (1, 8)
"""Fewest and most pages in a row."""
LEVELS = 3
SIZES = {"train": 10_000, "valid": 1_000, "test": 1_000}
TRAIN, VALID = 10, 11
"""Of twelve parts the first ten are `train`'s, the next `valid`'s, the last `test`'s."""

GENERATED = re.compile(r"h([1-9])-d([1-9])/([a-z]+)/([0-9]{4})", re.ASCII)
OWN = re.compile(r"questions/(train|valid|test)/(0|[1-9][0-9]{0,8})", re.ASCII)


@dataclass(frozen=True, slots=True)
class GeneratedKey:
    """A question about a generated corpus."""

    hops: int
    level: int
    split: str
    number: int

    def __str__(self) -> str:
        return f"h{self.hops}-d{self.level}/{self.split}/{self.number:04d}"


@dataclass(frozen=True, slots=True)
class OwnKey:
    """A question of the server's file."""

    split: str
    number: int


def parse(key: str) -> GeneratedKey | OwnKey:
    """What a key names. Raises KeyError, with what is wrong, where it names nothing."""
    if own := OWN.fullmatch(key):
        return OwnKey(own[1], int(own[2]))
    match = GENERATED.fullmatch(key)
    if match is None:
        raise KeyError(f"search has no key {key[:80]!r}; keys look like h2-d1/train/0042 or questions/train/7")
    found = GeneratedKey(int(match[1]), int(match[2]), match[3], int(match[4]))
    if not HOPS[0] <= found.hops <= HOPS[1] or found.level > LEVELS:
        raise KeyError(f"h is {HOPS[0]} to {HOPS[1]} and d is 1 to {LEVELS}, not h{found.hops}-d{found.level}")
    if found.split not in SIZES:
        raise KeyError(f"search has no split '{found.split[:40]}'; there are: {', '.join(SIZES)}")
    if found.number >= SIZES[found.split]:
        last = SIZES[found.split] - 1
        raise KeyError(f"the {found.split} split's questions are numbered 0000 to {last:04d}, not {found.number:04d}")
    return found


def split_of(content: str) -> str:
    """The split that what has this content belongs to."""
    part = crc32(content.encode(errors="replace")) % 12
    return "train" if part < TRAIN else "valid" if part < VALID else "test"
