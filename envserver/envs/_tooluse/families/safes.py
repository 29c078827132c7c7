"""Safes that say whether a code is too low. Levels 1 to 3 have codes of up to 7, 15 and 31; their sum is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Safes"]


class Safes(Program):
    """Safes that say whether a code is too low."""

    story = "A safe opens at its code; at any other it says whether the code is higher or lower."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        depth = level + 2
        """Tries that halving takes at most."""
        top = (1 << depth) - 1
        self.codes: list[int] = []
        left = calls - 1
        while left:
            tries = min(rng.randint(1, depth), left)
            left -= tries
            low, high = 1, top
            for _ in range(tries - 1):
                middle = (low + high) // 2
                low, high = (low, middle - 1) if rng.random() < 0.5 else (middle + 1, high)
            self.codes.append((low + high) // 2)
        self.low = [1] * len(self.codes)
        """(safes,) The least code that was not ruled out."""
        self.high = [top] * len(self.codes)
        """(safes,) The greatest."""
        self.opened = [False] * len(self.codes)
        self.question = (
            f"Safes 1 to {len(self.codes)} have codes from 1 to {top}. Open all. What do their codes add up to?"
        )

    @tool
    def dial(self, safe: int, code: int) -> str:
        """Try a code."""
        if not 1 <= safe <= len(self.codes):
            return f"There is no safe {safe}."
        place, right = safe - 1, self.codes[safe - 1]
        if code == right:
            self.opened[place] = True
            return "open"
        if code < right:
            self.low[place] = max(self.low[place], code + 1)
            return "higher"
        self.high[place] = min(self.high[place], code - 1)
        return "lower"

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        return answer == sum(self.codes) and all(self.opened)

    def plan(self) -> Iterator[Call]:
        for place, code in enumerate(self.codes):
            if self.opened[place]:
                continue
            low, high = self.low[place], self.high[place]
            while (middle := (low + high) // 2) != code:
                yield "dial", {"safe": place + 1, "code": middle}
                low, high = (low, middle - 1) if code < middle else (middle + 1, high)
            yield "dial", {"safe": place + 1, "code": code}
        yield "done", {"answer": sum(self.codes)}
