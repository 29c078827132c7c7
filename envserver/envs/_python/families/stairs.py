"""Dynamic programming: in how many ways are stairs climbed."""

from __future__ import annotations

from functools import cache
from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Stairs"]


class Stairs(Coding):
    """In how many ways are stairs climbed."""

    takes, gives = "stairs: int", "int"

    def __init__(self, rng: Random, level: int) -> None:
        self.steps = sorted(rng.sample(range(1, 8), rng.randint(2, 4)))
        if self.steps[0] > 2:
            self.steps.insert(0, rng.randint(1, 2))
        self.modulus = rng.randint(10_000, 99_999)
        self.broken = rng.randint(5, 11) if level >= 2 else 0
        self.strict = level >= 3
        several = " or ".join(map(str, self.steps))
        told = [f"In how many ways can one climb so many stairs, going up {several} stairs at a time?"]
        if self.broken:
            told.append(f"Stairs {self.broken}, {2 * self.broken}, {3 * self.broken} and so on are broken; only")
            told[-1] += " the last stair may be stepped on even so."
        if self.strict:
            told.append("No two steps in a row may be equally long.")
        self.words = " ".join([*told, f"Give the number modulo {self.modulus}."])
        self.gold = f"""def solve(stairs):
    steps, broken, strict = {self.steps}, {self.broken}, {self.strict}
    ways = [{{}} for _ in range(stairs + 1)]
    ways[0][0] = 1
    for place in range(1, stairs + 1):
        if broken and place % broken == 0 and place != stairs:
            continue
        for step in steps:
            if step <= place:
                before = ways[place - step]
                ways[place][step] = sum(n for last, n in before.items() if not (strict and last == step))
    return sum(ways[stairs].values()) % {self.modulus}
"""

    def sample(self, rng: Random) -> tuple[int]:
        return (rng.randint(8, 90),)

    def answer(self, stairs: int) -> int:
        @cache
        def ways(left: int, last: int) -> int:
            if left == 0:
                return 1
            place = stairs - left
            if place and self.broken and place % self.broken == 0:
                return 0
            steps = [step for step in self.steps if step <= left and not (self.strict and step == last)]
            return sum(ways(left - step, step) for step in steps)

        return ways(stairs, 0) % self.modulus
