"""Bins with things in them. 1: which bin holds most; 2: how many of a kind in all; 3: take out that kind, and count."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.draws import peaked
from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Inventory"]

KINDS = ("nut", "bolt", "cog", "pin")


class Inventory(Program):
    """Bins with things in them."""

    story = "Each bin holds some things of one kind."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        self.level = level
        taken = (calls - 1) // 4 if level == 3 else 0
        bins = calls - 1 - taken
        self.counts = peaked(rng, bins)
        self.kind = rng.choice(KINDS)
        others = [kind for kind in KINDS if kind != self.kind]
        held = taken if level == 3 else bins if level == 1 else rng.randint(1, bins)
        self.kinds = [self.kind] * held + [rng.choice(others) for _ in range(bins - held)]
        rng.shuffle(self.kinds)
        self.seen = [False] * bins
        self.taken = [False] * bins
        asked = (
            "Which bin holds most?",
            f"How many {self.kind}s are there in all?",
            f"Take every {self.kind} and nothing else. How many are there?",
        )
        self.question = f"There are bins 1 to {bins}. {asked[level - 1]}"

    @tool
    def look(self, bin: int) -> str:
        """Look into a bin."""
        if not 1 <= bin <= len(self.counts):
            return f"There is no bin {bin}."
        self.seen[bin - 1] = True
        return "empty" if self.taken[bin - 1] else f"{self.counts[bin - 1]} {self.kinds[bin - 1]}"

    @tool
    def take(self, bin: int) -> str:
        """Take everything out of a bin."""
        if not 1 <= bin <= len(self.counts):
            return f"There is no bin {bin}."
        if self.taken[bin - 1]:
            return "empty"
        self.taken[bin - 1] = True
        return f"took {self.counts[bin - 1]} {self.kinds[bin - 1]}"

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        return not self._spoilt() and answer == self._answer() and all(self.taken[place] for place in self._wanted())

    def plan(self) -> Iterator[Call]:
        if self._spoilt():
            return
        wanted = set(self._wanted())
        for place, seen in enumerate(self.seen):
            if not seen and not self.taken[place]:
                yield "look", {"bin": place + 1}
            if place in wanted and not self.taken[place]:
                yield "take", {"bin": place + 1}
        yield "done", {"answer": self._answer()}

    def _wanted(self) -> list[int]:
        """Places that must be emptied."""
        return [place for place, kind in enumerate(self.kinds) if self.level == 3 and kind == self.kind]

    def _spoilt(self) -> bool:
        """Whether something was taken that had to stay."""
        wrong = (kind != self.kind for kind in self.kinds)
        return self.level == 3 and any(taken and other for taken, other in zip(self.taken, wrong, strict=True))

    def _answer(self) -> int:
        if self.level == 1:
            return self.counts.index(max(self.counts)) + 1
        return sum(count for count, kind in zip(self.counts, self.kinds, strict=True) if kind == self.kind)
