"""Places with numbers, to be sorted by swaps. Levels 1 to 3 need one swap, a quarter of the calls, and half of them."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Array"]


class Array(Program):
    """Places with numbers, to be sorted by swaps."""

    story = "Each place holds a number."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        swaps = (1, max(2, (calls - 1) // 4), (calls - 2) // 2)[level - 1]
        places = calls - 1 - swaps
        self.numbers = sorted(rng.sample(range(10, 100) if places <= 60 else range(100, 1000), places))
        cycle = list(range(places))
        """Of each place, the least place of its cycle: only a swap of two cycles makes one more swap needed."""
        while swaps:
            one, other = rng.sample(range(places), 2)
            if cycle[one] != cycle[other]:
                self._exchange(one, other)
                least, gone = sorted((cycle[one], cycle[other]))
                cycle = [least if name == gone else name for name in cycle]
                swaps -= 1
        self.seen = [False] * places
        self.question = f"Sort the numbers at places 1 to {places}, the least first."

    @tool
    def get(self, place: int) -> str:
        """Read the number at a place."""
        if not 1 <= place <= len(self.numbers):
            return f"There is no place {place}."
        self.seen[place - 1] = True
        return str(self.numbers[place - 1])

    @tool
    def swap(self, place: int, other: int) -> str:
        """Exchange the numbers at two places."""
        for one in (place, other):
            if not 1 <= one <= len(self.numbers):
                return f"There is no place {one}."
        self._exchange(place - 1, other - 1)
        self.seen[place - 1], self.seen[other - 1] = self.seen[other - 1], self.seen[place - 1]
        return "swapped"

    @tool
    def done(self) -> bool:
        """Say that all is sorted."""
        return self.numbers == sorted(self.numbers)

    def plan(self) -> Iterator[Call]:
        for place, seen in enumerate(self.seen):
            if not seen:
                yield "get", {"place": place + 1}
        numbers = list(self.numbers)
        for place, right in enumerate(sorted(numbers)):
            if numbers[place] != right:
                other = numbers.index(right)
                numbers[place], numbers[other] = numbers[other], numbers[place]
                yield "swap", {"place": place + 1, "other": other + 1}
        yield "done", {}

    def _exchange(self, one: int, other: int) -> None:
        self.numbers[one], self.numbers[other] = self.numbers[other], self.numbers[one]
