"""Dynamic programming: the most a sack can be worth."""

from __future__ import annotations

from itertools import product
from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Knapsack"]


class Knapsack(Coding):
    """The most a sack can be worth."""

    takes, gives = "weights: list[int], values: list[int], limit: int", "int"

    def __init__(self, rng: Random, level: int) -> None:
        self.often = rng.randint(1, 2)
        self.fee, self.k = rng.randint(1, 20), rng.randint(2, 19)
        self.bonus = rng.randint(5, 60) if level >= 2 else 0
        self.rest = rng.randint(1, 5) if level >= 3 else 0
        times = "once" if self.often == 1 else "twice"
        told = [f"Thing i weighs weights[i] and is worth {self.k} times values[i]; it may be packed at most {times}."]
        told[0] += f" What is packed must not weigh more than limit, and each thing packed costs {self.fee}."
        if self.bonus:
            told.append(f"A sack that weighs exactly limit is worth {self.bonus} more.")
        if self.rest:
            told.append(f"Each unit of weight that stays free costs {self.rest} too.")
        self.words = " ".join([*told, "Give the most that worth minus costs can be; nothing has to be packed."])
        self.gold = f"""def solve(weights, values, limit):
    best = {{0: 0}}
    for weight, value in zip(weights, values):
        for _ in range({self.often}):
            for packed, worth in list(best.items()):
                if packed + weight <= limit:
                    new = worth + {self.k} * value - {self.fee}
                    best[packed + weight] = max(new, best.get(packed + weight, new))
    return max(worth + {self.bonus} * (packed == limit) - {self.rest} * (limit - packed)
               for packed, worth in best.items())
"""
        # A thing's weight is added to a copy of what was packed before it, so none is packed more often than it may.

    def sample(self, rng: Random) -> tuple[list[int], list[int], int]:
        things = rng.randint(4, 6)
        weights = [rng.randint(1, 15) for _ in range(things)]
        return weights, [rng.randint(2, 60) for _ in range(things)], rng.randint(8, sum(weights) + 3)

    def answer(self, weights: list[int], values: list[int], limit: int) -> int:
        best = None
        for counts in product(range(self.often + 1), repeat=len(weights)):
            packed = sum(count * weight for count, weight in zip(counts, weights, strict=True))
            if packed > limit:
                continue
            worth = sum(count * (self.k * value - self.fee) for count, value in zip(counts, values, strict=True))
            worth += self.bonus * (packed == limit) - self.rest * (limit - packed)
            best = worth if best is None else max(best, worth)
        assert best is not None
        return best
