"""Number theory: what a sum of great powers leaves."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Maths

__all__ = ["Powers"]


class Powers(Maths):
    """What a sum of great powers leaves."""

    def __init__(self, rng: Random, level: int) -> None:
        modulus = rng.randint(100, 999)
        powers = [(rng.randint(2, 60), rng.randint(100, 9999)) for _ in range(level + 1)]
        told = " + ".join(f"{a}^{b}" for a, b in powers)
        self.words = f"What is the remainder of {told} divided by {modulus}?"
        self.value = str(sum(pow(a, b, modulus) for a, b in powers) % modulus)
        self.gold = f"print(({told.replace('^', '**')}) % {modulus})\n"
