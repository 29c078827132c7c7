"""Algebra: a system of linear equations, and a sum of its unknowns as a fraction."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from envserver.envs._python.problem import Maths

__all__ = ["Systems"]


class Systems(Maths):
    """A system of linear equations."""

    def __init__(self, rng: Random, level: int) -> None:
        n = level + 1
        names = "xyzw"[:n]
        value = Fraction(0)
        while value.denominator == 1:
            rows = [[rng.choice((-1, 1)) * rng.randint(1, 12) for _ in range(n + 1)] for _ in range(n)]
            weights = [rng.randint(1, 9) for _ in range(n)]
            whole = _determinant([row[:n] for row in rows])
            if whole:
                # Cramer's rule; the gold program eliminates.
                parts = [_determinant([[*row[:i], row[n], *row[i + 1 : n]] for row in rows]) for i in range(n)]
                value = Fraction(sum(w * part for w, part in zip(weights, parts, strict=True)), whole)
        self.value = str(value)
        told = [" + ".join(f"{a}{name}" for a, name in zip(row, names, strict=False)) + f" = {row[n]}" for row in rows]
        asked = " + ".join(f"{weight}{name}" for weight, name in zip(weights, names, strict=True))
        self.words = f"Let {', '.join(told)}. What is {asked}? Give a fraction.".replace("+ -", "- ")
        self.gold = f"""from fractions import Fraction
rows = [[Fraction(a) for a in row] for row in {rows}]
n = {n}
for i in range(n):
    j = next(j for j in range(i, n) if rows[j][i])
    rows[i], rows[j] = rows[j], rows[i]
    rows[i] = [a / rows[i][i] for a in rows[i]]
    for k in range(n):
        if k != i:
            rows[k] = [a - rows[k][i] * b for a, b in zip(rows[k], rows[i])]
print(sum(w * row[n] for w, row in zip({weights}, rows)))
"""


def _determinant(rows: list[list[int]]) -> int:
    if not rows:
        return 1
    return sum(
        (-1) ** j * a * _determinant([row[:j] + row[j + 1 :] for row in rows[1:]]) for j, a in enumerate(rows[0]) if a
    )
