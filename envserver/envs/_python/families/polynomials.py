"""Polynomials: an expression in x, to be given exactly."""

from __future__ import annotations

from fractions import Fraction
from random import Random

from envserver.envs._python.problem import Maths

__all__ = ["Polynomials"]


class Polynomials(Maths):
    """An expression in x, to be given exactly."""

    def __init__(self, rng: Random, level: int) -> None:
        factors = [[rng.randint(-9, 9), rng.randint(-9, 9), rng.randint(1, 5)] for _ in range(level)]
        factors.append([rng.choice((-7, -5, -3, -2, 2, 3, 5, 7)), rng.randint(1, 6)])
        told = " * ".join(f"({_written(list(map(Fraction, one)))})" for one in factors)
        derive = rng.random() < 0.5
        asked = "derivative" if derive else "antiderivative with p(0) = 0"
        self.words = f"What is the {asked} of {told}? Give a polynomial in x, such as 3/2*x^2 - x."
        product = [1]
        for factor in factors:
            product = [
                sum(product[i] * factor[n - i] for i in range(len(product)) if 0 <= n - i < len(factor))
                for n in range(len(product) + len(factor) - 1)
            ]
        if derive:
            found = [Fraction(n * a) for n, a in enumerate(product)][1:]
        else:
            found = [Fraction(0), *(Fraction(a, n + 1) for n, a in enumerate(product))]
        self.value = _written(found)
        rule = "[n * a for n, a in enumerate(p)][1:]" if derive else "[0] + [a / (n + 1) for n, a in enumerate(p)]"
        self.gold = f"""from fractions import Fraction
p = [Fraction(1)]
for f in {factors}:
    new = [Fraction(0)] * (len(p) + len(f) - 1)
    for i, a in enumerate(p):
        for j, b in enumerate(f):
            new[i + j] += a * b
    p = new
p = {rule}
print(' + '.join(f'({{a}})*x^{{n}}' for n, a in enumerate(p)))
"""


def _written(factors: list[Fraction]) -> str:
    """The highest power first."""
    terms = [f"{factor}*x^{power}" for power, factor in reversed(list(enumerate(factors))) if factor and power > 1]
    terms += [f"{factors[1]}*x"] if len(factors) > 1 and factors[1] else []
    terms += [str(factors[0])] if factors[0] else []
    return " + ".join(terms).replace("+ -", "- ").replace(" 1*x", " x") or "0"
