"""Chance: what some dice show, as a fraction."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from envserver.envs._python.problem import Maths

__all__ = ["Dice"]


class Dice(Maths):
    """What some dice show, as a fraction."""

    def __init__(self, rng: Random, level: int) -> None:
        sides = sorted(rng.randint(3, 14) for _ in range(level + 2))
        divisor = rng.randint(3, 7)
        rest, least = rng.randrange(divisor), rng.randint(len(sides) + 1, sum(sides) // 2)
        several = ", ".join(map(str, sides))
        self.words = (
            f"Fair dice of {several} sides, numbered from 1, are thrown once. What is the chance that their sum is at "
            f"least {least} and gives {rest} modulo {divisor}? Give a fraction."
        )
        ways = {0: 1}
        for side in sides:
            after: dict[int, int] = {}
            for total, count in ways.items():
                for face in range(1, side + 1):
                    after[total + face] = after.get(total + face, 0) + count
            ways = after
        good = sum(count for total, count in ways.items() if total >= least and total % divisor == rest)
        self.value = str(Fraction(good, sum(ways.values())))
        self.gold = f"""from fractions import Fraction
from itertools import product
throws = [sum(t) for t in product(*(range(1, s + 1) for s in {sides}))]
print(Fraction(sum(t >= {least} and t % {divisor} == {rest} for t in throws), len(throws)))
"""
