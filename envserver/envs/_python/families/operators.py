"""Parsing: terms of operators that mean something else."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Operators"]

MEANINGS = ("a + b", "a - b", "a * b", "a + 2 * b", "2 * a - b", "max(a, b)", "min(a, b)", "a * b + 1", "a + b + {k}")
COUNT = {1: 2, 2: 3, 3: 3}


class Operators(Coding):
    """Terms of operators that mean something else."""

    takes, gives = "term: str", "int"

    def __init__(self, rng: Random, level: int) -> None:
        count = COUNT[level]
        k = rng.randint(2, 30)
        self.brackets = level >= 3
        self.signs = rng.sample("@#$%&!?~^", count)
        meanings = [one.format(k=k) for one in rng.sample(MEANINGS, count)]
        self.meaning = {
            sign: eval(f"lambda a, b: {text}", {"max": max, "min": min})
            for sign, text in zip(self.signs, meanings, strict=True)
        }
        told = [f"a {sign} b is {text}" for sign, text in zip(self.signs, meanings, strict=True)]
        order = [f"{sign} binds {count - place}" for place, sign in enumerate(self.signs)]
        extra = " What stands in round brackets is worked out first." if self.brackets else ""
        self.words = (
            f"Work out a term of whole numbers and operators: {'; '.join(told)}. The higher its number, the tighter an "
            f"operator binds: {', '.join(order)}. Operators of one kind are worked out from left to right.{extra}"
        )
        table = ", ".join(f"'{sign}': lambda a, b: {text}" for sign, text in zip(self.signs, meanings, strict=True))
        self.gold = f"""import re

def solve(term):
    ops = {{{table}}}
    tokens = re.findall(r'\\d+|[^\\s\\d]', term)

    def level(n):
        if n == len(order):
            if tokens[0] == '(':
                tokens.pop(0)
                value = level(0)
                tokens.pop(0)
                return value
            return int(tokens.pop(0))
        value = level(n + 1)
        while tokens and tokens[0] == order[n]:
            op = ops[tokens.pop(0)]
            value = op(value, level(n + 1))
        return value

    order = {self.signs[::-1]}
    return level(0)
"""

    def sample(self, rng: Random) -> tuple[str]:
        return (self._term(rng, rng.randint(3, 6), deep=self.brackets),)

    def _term(self, rng: Random, size: int, *, deep: bool) -> str:
        parts = []
        for place in range(size):
            if deep and rng.random() < 0.3:
                parts.append(f"({self._term(rng, rng.randint(2, 3), deep=False)})")
            else:
                parts.append(str(rng.randint(1, 20)))
            if place + 1 < size:
                parts.append(rng.choice(self.signs))
        return " ".join(parts)

    def answer(self, term: str) -> int:
        while "(" in term:
            start = term.index("(")
            end = term.index(")")
            # Spaces keep what a bracket gives apart from its sign; a minus is part of its number.
            term = f"{term[:start]}{self.answer(term[start + 1 : end])}{term[end + 1 :]}"
        parts: list[str | int] = [int(part) if part[-1].isdigit() else part for part in term.split()]
        # The first sign binds tightest, for it has the greatest number.
        for sign in self.signs:
            while sign in parts:
                at = parts.index(sign)
                parts[at - 1 : at + 2] = [self.meaning[sign](parts[at - 1], parts[at + 1])]
        assert len(parts) == 1
        return int(parts[0])
