"""Graphs: numbers that are linked by a rule, and their clusters."""

from __future__ import annotations

from math import gcd
from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Clusters"]

RULES = {
    "they differ by at most {k}": "abs(a - b) <= {k}",
    "their greatest common divisor is greater than {k}": "gcd(a, b) > {k}",
    "their sum is a multiple of {m}": "(a + b) % {m} == 0",
    "they are the same modulo {m}": "(a - b) % {m} == 0",
    "they have a decimal digit in common": "bool(set(str(a)) & set(str(b)))",
}


class Clusters(Coding):
    """Numbers that are linked by a rule, and their clusters."""

    takes, gives = "numbers: list[int]", "int"

    def __init__(self, rng: Random, level: int) -> None:
        k, m = rng.randint(1, 6), rng.randint(7, 40)
        chosen = rng.sample(list(RULES), 1 if level == 1 else 2)
        self.both = level == 3
        told = (" and " if self.both else " or ").join(chosen).format(k=k, m=m)
        self.test = (" and " if self.both else " or ").join(RULES[rule].format(k=k, m=m) for rule in chosen)
        self.linked = eval(f"lambda a, b: {self.test}", {"gcd": gcd})
        self.a, self.b = rng.randint(1, 20), rng.randint(1, 50)
        self.words = (
            f"Two of the numbers are linked if {told}. Numbers that are linked, directly or over others, are one "
            f"cluster; a number alone is one too. A cluster is worth {self.a} times the sum of its numbers plus "
            f"{self.b} times how many they are. Give the worth of the cluster that is worth most."
        )
        self.gold = f"""from math import gcd

def solve(numbers):
    left, best = set(range(len(numbers))), 0
    while left:
        group = [left.pop()]
        for i in group:
            a = numbers[i]
            new = [j for j in left if (lambda b: {self.test})(numbers[j])]
            left.difference_update(new)
            group += new
        best = max(best, {self.a} * sum(numbers[i] for i in group) + {self.b} * len(group))
    return best
"""

    def sample(self, rng: Random) -> tuple[list[int]]:
        return (rng.sample(range(2, 300), rng.randint(6, 14)),)

    def answer(self, numbers: list[int]) -> int:
        clusters: list[list[int]] = []
        for number in numbers:
            mine = [one for one in clusters if any(self.linked(number, other) for other in one)]
            clusters = [one for one in clusters if one not in mine] + [[number, *(x for one in mine for x in one)]]
        return max(self.a * sum(one) + self.b * len(one) for one in clusters)
