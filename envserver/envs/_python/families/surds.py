"""Geometry: a length, an area or a volume with a root or pi in it, exactly."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Maths

__all__ = ["Surds"]


class Surds(Maths):
    """A length, an area or a volume, exactly."""

    def __init__(self, rng: Random, level: int) -> None:
        if level == 1:
            a, b, c, d = (rng.randint(-40, 40) for _ in range(4))
            self.words = f"How far is the point ({a}, {b}) from the point ({c}, {d + 100})?"
            under, outside = (a - c) ** 2 + (b - d - 100) ** 2, "1"
        elif level == 2:
            a, b = rng.randint(3, 60), rng.randint(3, 60)
            c = rng.randint(abs(a - b) + 1, a + b - 1)
            self.words = f"What is the area of a triangle whose sides are {a}, {b} and {c}?"
            # Heron: 16 A² = (a+b+c)(-a+b+c)(a-b+c)(a+b-c)
            under, outside = (a + b + c) * (b + c - a) * (a - b + c) * (a + b - c), "1/4"
        else:
            r, s = rng.randint(2, 40), rng.randint(2, 60)
            s += r
            self.words = f"A cone's base has the radius {r} and its slant side is {s} long. What is its volume?"
            under, outside = s * s - r * r, f"{r * r}*pi/3"
        self.words += " Give it exactly, such as 3/2*sqrt(5)*pi."
        self.value = f"{outside}*sqrt({under})"
        self.gold = f"""under, outside = {under}, 1
for k in range(2, int(under ** 0.5) + 1):
    while under % (k * k) == 0:
        under, outside = under // (k * k), outside * k
print(f"{{outside}}*{outside}*sqrt({{under}})")
"""
