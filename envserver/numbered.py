"""Task keys that are made when they are asked for: a split of thousands costs nothing to list."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import overload
from zlib import crc32

__all__ = ["SIZES", "LazyKeys", "MixedKeys", "NumberedKeys", "belongs", "weighed"]

SIZES = {"train": 10_000, "valid": 1_000, "test": 1_000}
"""Tasks of each split of a world whose tasks are drawn."""
SHARES = {"train": range(10), "valid": range(10, 11), "test": range(11, 12)}
"""Of twelve parts of all that can be drawn, those of each split."""


def belongs(content: str, split: str) -> bool:
    """Whether what has this content is of a split. Raises KeyError for a split that is not there."""
    return crc32(content.encode()) % 12 in SHARES[split]


def weighed(weights: dict[str, int], families: Sequence[str]) -> dict[str, int]:
    """The weights that an option gives to families. Raises ValueError for a name or a weight that is none."""
    for name, weight in weights.items():
        if name not in families:
            raise ValueError(f"no family is named '{name[:40]}'; there are: {', '.join(families)}")
        if not 1 <= weight <= 100:
            raise ValueError(f"the weight of '{name}' is 1 to 100, not {weight}")
    return weights


class LazyKeys(Sequence[str]):
    """So many keys, each a function of its place."""

    def __init__(self, length: int) -> None:
        self.length = length

    @abstractmethod
    def key(self, number: int) -> str:
        """The key at a place from 0."""

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(self.length)[index]
        return self.key(numbers) if isinstance(numbers, int) else [self.key(number) for number in numbers]


class NumberedKeys(LazyKeys):
    """`PREFIX/0000` and on, numbers of four digits."""

    def __init__(self, prefix: str, length: int) -> None:
        super().__init__(length)
        self.prefix = prefix

    def key(self, number: int) -> str:
        """The prefix and the number."""
        return f"{self.prefix}/{number:04d}"


class MixedKeys(LazyKeys):
    """`KIND/DIAL/SPLIT/0000` and on, kinds by weight; every prefix is mixed as the whole is."""

    def __init__(self, weights: Mapping[str, int], dial: str, split: str) -> None:
        """Raises KeyError for a split that is not there."""
        super().__init__(SIZES[split])
        self._tail = f"{dial}/{split}"
        taken = dict.fromkeys(weights, 0)
        self._round: list[str] = []
        for _ in range(sum(weights.values())):
            name = min(weights, key=lambda name: (taken[name] + 0.5) / weights[name])
            taken[name] += 1
            self._round.append(name)

    def key(self, number: int) -> str:
        """The kind whose turn it is, and its number."""
        return f"{self._round[number % len(self._round)]}/{self._tail}/{number:04d}"
