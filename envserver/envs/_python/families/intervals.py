"""Intervals on a line: what they cover."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Intervals"]


class Intervals(Coding):
    """What intervals cover."""

    takes, gives = "intervals: list[list[int]]", "list[int]"

    def __init__(self, rng: Random, level: int) -> None:
        self.gap = rng.randint(0, 8)
        self.grow = rng.randint(0, 5)
        self.price, self.fee = rng.randint(2, 20), rng.randint(1, 50)
        self.least = rng.randint(2, 12) if level >= 2 else 0
        self.deep = rng.randint(2, 3) if level >= 3 else 1
        told = ["An interval [a, b] covers the whole numbers a to b, both included."]
        if self.grow:
            told.append(f"First make each interval end {self.grow} later.")
        if self.least:
            told.append(f"Leave out those that then cover fewer than {self.least} numbers.")
        if self.deep > 1:
            told.append(f"Only numbers that are covered by {self.deep} intervals or more count as covered.")
        told.append(
            f"Runs of covered numbers with at most {self.gap} numbers that are not covered between them are one block, "
            f"and what lies between them belongs to it. A block of n numbers costs {self.fee} + {self.price}n. "
            f"Give the number of blocks and what they cost in all."
        )
        self.words = " ".join(told)
        self.gold = f"""def solve(intervals):
    count = {{}}
    for a, b in intervals:
        b += {self.grow}
        if b - a + 1 >= {self.least}:
            for x in range(a, b + 1):
                count[x] = count.get(x, 0) + 1
    covered = sorted(x for x, n in count.items() if n >= {self.deep})
    blocks = []
    for x in covered:
        if blocks and x - blocks[-1][1] - 1 <= {self.gap}:
            blocks[-1][1] = x
        else:
            blocks.append([x, x])
    return [len(blocks), sum({self.fee} + {self.price} * (b - a + 1) for a, b in blocks)]
"""

    def sample(self, rng: Random) -> tuple[list[list[int]]]:
        starts = [rng.randint(0, 80) for _ in range(rng.randint(3, 9))]
        return ([[a, a + rng.randint(0, 14)] for a in starts],)

    def answer(self, intervals: list[list[int]]) -> list[int]:
        grown = [(a, b + self.grow) for a, b in intervals if b + self.grow - a + 1 >= self.least]
        ends = sorted([(a, 1) for a, _ in grown] + [(b + 1, -1) for _, b in grown])
        runs: list[tuple[int, int]] = []
        depth, start = 0, 0
        for at, change in ends:
            before, depth = depth, depth + change
            if before < self.deep <= depth:
                start = at
            elif depth < self.deep <= before and at > start:
                runs.append((start, at - 1))
        blocks: list[tuple[int, int]] = []
        for a, b in runs:
            if blocks and a - blocks[-1][1] - 1 <= self.gap:
                blocks[-1] = (blocks[-1][0], b)
            else:
                blocks.append((a, b))
        return [len(blocks), sum(self.fee + self.price * (b - a + 1) for a, b in blocks)]
