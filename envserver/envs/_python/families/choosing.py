"""Counting: how many solutions an equation has in bounded whole numbers."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Maths

__all__ = ["Choosing"]


class Choosing(Maths):
    """How many solutions an equation has."""

    def __init__(self, rng: Random, level: int) -> None:
        names = "abcde"[: level + 2]
        factors = [1, *(rng.randint(1, 6) for _ in names[1:])]
        tops = [rng.randint(6, 20) for _ in names]
        full = sum(factor * top for factor, top in zip(factors, tops, strict=True))
        total = rng.randint(full // 4, full // 2)
        left = " + ".join(
            f"{factor}{name}" if factor > 1 else name for factor, name in zip(factors, names, strict=True)
        )
        bounds = ", ".join(f"0 <= {name} <= {top}" for name, top in zip(names, tops, strict=True))
        self.words = f"How many solutions in whole numbers has {left} = {total} with {bounds}?"
        ways = [1] + [0] * total
        for factor, top in zip(factors, tops, strict=True):
            ways = [sum(ways[n - factor * k] for k in range(min(top, n // factor) + 1)) for n in range(total + 1)]
        self.value = str(ways[total])
        self.gold = f"""from collections import Counter
ways = Counter([0])
for factor, top in zip({factors}, {tops}):
    new = Counter()
    for total, count in ways.items():
        for k in range(top + 1):
            new[total + factor * k] += count
    ways = new
print(ways[{total}])
"""
