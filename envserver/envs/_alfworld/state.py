"""What changes in a game of ALFWorld, as one small value: compared, hashed and shared freely.

Objects, receptacles and locations are numbered in the order of their ids, a set of them is an integer with their bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

__all__ = ["State", "members", "replaced"]


class State(NamedTuple):
    """The facts that actions change."""

    at: int
    """The agent's location."""
    opened: int
    """Receptacles."""
    held: int
    """Objects."""
    busy: bool
    """Whether the hand counts as full: the domain keeps this as a fact of its own."""
    contents: tuple[int, ...]
    """Objects of each receptacle; an object can be in several."""
    near: tuple[int, ...]
    """Objects of each location."""
    gone: tuple[int, ...]
    """Objects that were taken from each receptacle and not put back: what `look` calls next to it."""
    clean: int
    hot: int
    cool: int
    on: int
    toggled: int
    sliced: int


def members(many: int) -> Iterator[int]:
    """The numbers in a set, ascending."""
    while many:
        lowest = many & -many
        yield lowest.bit_length() - 1
        many ^= lowest


def replaced(row: tuple[int, ...], at: int, value: int) -> tuple[int, ...]:
    """The row with one entry changed."""
    return (*row[:at], value, *row[at + 1 :])
