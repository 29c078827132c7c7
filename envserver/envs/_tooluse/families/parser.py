"""A text that is read sign by sign. 1: the greatest digit; 2: how deep the brackets go; 3: what a sum comes to."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.draws import capped
from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Parser"]


class Parser(Program):
    """A text that is read sign by sign."""

    story = "A text is read sign by sign."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        length = calls - 1
        self.signs: list[str] = []
        self.answer = 0
        if level == 1:
            digits = capped(rng, length)
            self.signs = [str(digit) for digit in digits]
            self.answer = max(digits)
            asked = "What is the greatest digit?"
        elif level == 2:
            depth, rise = 0, rng.uniform(0.3, 0.8)
            while len(self.signs) < length:
                if rng.random() < 0.2:
                    self.signs.append(rng.choice("abcd"))
                    continue
                opens = depth == 0 or rng.random() < rise
                depth += 1 if opens else -1
                self.signs.append("(" if opens else ")")
                self.answer = max(self.answer, depth)
            asked = "How many brackets are open at once at most?"
        else:
            while len(self.signs) < length:
                by, digit = rng.choice("+-*"), rng.randint(2, 9)
                self.signs.append(f"{by} {digit}")
                self.answer = {"+": self.answer + digit, "-": self.answer - digit, "*": self.answer * digit}[by] % 10
            asked = "Begin with 0, do what each sign says, and keep the last digit (-3 is 7). What is it at the end?"
        self.place = 0
        """Signs read."""
        self.question = f"A text of {length} signs. {asked}"

    @tool
    def next(self) -> str:
        """Read the next sign."""
        if self.place == len(self.signs):
            return "end"
        self.place += 1
        return self.signs[self.place - 1]

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        return answer == self.answer

    def plan(self) -> Iterator[Call]:
        for _ in range(self.place, len(self.signs)):
            yield "next", {}
        yield "done", {"answer": self.answer}
