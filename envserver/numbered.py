"""Task keys that are made when they are asked for: a split of thousands costs nothing to list."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import overload

__all__ = ["LazyKeys", "NumberedKeys"]


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
