"""A problem: what is asked in words, and how an answer is judged.

`Coding` asks for a function: `answer` is the reference and runs here, `gold` is another program for the same, as a
player would write it, and runs in the sandbox alone. `Maths` asks for one exact value. Both draw from the generator
that they are given and from nothing else.
"""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections import Counter
from random import Random
from typing import Any, ClassVar, NamedTuple

__all__ = ["Case", "Coding", "Maths", "Problem"]

SHOWN = 2
HIDDEN = 20
OFTEN = HIDDEN // 5
"""How many hidden cases one answer, or the input given back, may be right for."""
ATTEMPTS = 400


class Case(NamedTuple):
    """One call and what it gives."""

    arguments: tuple[Any, ...]
    answer: Any


class Problem(ABC):
    """One drawn problem of a family."""

    words: str
    """What is asked, whole: two problems are the same where their words are."""
    gold: str
    """A program: of `Coding` the function, of `Maths` one that prints the answer."""

    @abstractmethod
    def __init__(self, rng: Random, level: int) -> None:
        """Draw a problem; level 1 to 3."""


class Coding(Problem):
    """A function is asked for."""

    takes: ClassVar[str]
    """Its parameters, as Python writes them."""
    gives: ClassVar[str]

    @abstractmethod
    def sample(self, rng: Random) -> tuple[Any, ...]:
        """Arguments of one call: JSON's types."""

    @abstractmethod
    def answer(self, *arguments: Any) -> Any:
        """What the function gives for them: JSON's types."""

    def cases(self, rng: Random) -> tuple[list[Case], list[Case]] | None:
        """Some to show and some to hide: all different, and no answer is right for many of the hidden ones.

        None where not so many are found: the answer could be guessed.
        """
        shown: list[Case] = []
        hidden: list[Case] = []
        seen: set[str] = set()
        answers: Counter[str] = Counter()
        for _ in range(ATTEMPTS):
            case = Case(arguments := self.sample(rng), self.answer(*arguments))
            asked, said = json.dumps(arguments), json.dumps(case.answer)
            if asked in seen or answers[said] >= OFTEN:
                continue
            same = case.answer == arguments[0]
            if same and answers["same"] >= OFTEN:
                continue
            seen.add(asked)
            if len(shown) < SHOWN:
                shown.append(case)
                continue
            answers[said] += 1
            answers["same"] += same
            hidden.append(case)
            if len(hidden) == HIDDEN:
                return shown, hidden
        return None


class Maths(Problem):
    """One exact value is asked for."""

    value: str
    """The answer, as `exact` reads it."""
