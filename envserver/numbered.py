"""Task keys that are a prefix and a number of four digits, made when they are asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import overload

__all__ = ["NumberedKeys"]


class NumberedKeys(Sequence[str]):
    """`PREFIX/0000` and on."""

    def __init__(self, prefix: str, length: int) -> None:
        self.prefix = prefix
        self.length = length

    def __len__(self) -> int:
        return self.length

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        numbers = range(self.length)[index]
        if isinstance(numbers, int):
            return f"{self.prefix}/{numbers:04d}"
        return [f"{self.prefix}/{number:04d}" for number in numbers]
