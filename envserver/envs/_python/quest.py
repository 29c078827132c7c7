"""What an episode asks, whatever it comes from, and what is right: this stays in the worker.

A `Function` is called with hidden arguments, a `Script` is run on hidden inputs, a `Tested` function is tried by a data
set's own tests, a `Value` is compared. Each says how many of how many tests a submission passes.
"""

from __future__ import annotations

import json
import math
from abc import ABC, abstractmethod
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from envserver.envs._python.exact import equal
from envserver.envs._python.inside import freeze
from envserver.envs._python.lodging import Lodging

__all__ = ["Function", "Quest", "Script", "Tested", "Value", "same"]


@dataclass(frozen=True, slots=True)
class Quest(ABC):
    """What is asked."""

    question: str
    gold: str = field(repr=False)
    """A program that is right, or prints what is; empty where none is known."""

    @property
    def guess(self) -> int:
        """How many of the tests an answer that is always the same can pass."""
        return 0

    def refusal(self, lodging: Lodging, submitted: str) -> str:
        """Why a submission cannot be judged at all, in a sentence; empty where it can."""
        return ""

    @abstractmethod
    def passed(self, lodging: Lodging, submitted: str) -> tuple[int, int]:
        """How many tests are passed, and how many there are."""


@dataclass(frozen=True, slots=True)
class Function(Quest):
    """A function, and what it gives for hidden arguments."""

    name: str
    cases: list[tuple[list[Any], Any]]
    """Arguments and what is right for them, as JSON's types."""
    before: str = ""
    """Source that stands before a submission."""
    trial: str = ""
    """Source after a program that tries it on what is shown."""

    @property
    def guess(self) -> int:
        return max(Counter(json.dumps(right, sort_keys=True) for _, right in self.cases).values())

    def refusal(self, lodging: Lodging, submitted: str) -> str:
        return lodging.refusal(self.before, submitted, self.name)

    def passed(self, lodging: Lodging, submitted: str) -> tuple[int, int]:
        asked = [[[freeze(one) for one in arguments], {}] for arguments, _ in self.cases]
        given = lodging.calls(self.before, submitted, self.name, asked)
        right = [right for _, right in self.cases]
        good = sum(one.good and same(one.what, value) for one, value in zip(given, right, strict=True))
        return good, len(right)


@dataclass(frozen=True, slots=True)
class Script(Quest):
    """A whole program, and what it prints for hidden inputs; blanks count as one."""

    cases: list[tuple[str, str]]

    @property
    def guess(self) -> int:
        return max(Counter(" ".join(right.split()) for _, right in self.cases).values())

    def passed(self, lodging: Lodging, submitted: str) -> tuple[int, int]:
        said = lodging.program(submitted, [stdin for stdin, _ in self.cases])
        good = sum(
            one is not None and one.split() == right.split() for one, (_, right) in zip(said, self.cases, strict=True)
        )
        return good, len(self.cases)


@dataclass(frozen=True, slots=True)
class Tested(Quest):
    """A function that a data set's tests try: they call its own solution first, so that it is known what they call."""

    name: str
    tests: list[str]
    before: str = ""
    calls: list[Any] = field(default_factory=list)

    @property
    def asked(self) -> dict[str, Any]:
        """What a run of the tests is told."""
        return {"before": self.before, "source": self.gold, "name": self.name, "tests": self.tests}

    def note(self, lodging: Lodging) -> None:
        """Find out what the tests call. Raises RuntimeError where the data set's own solution does not pass."""
        known: set[str] = set()
        for number, (good, what) in enumerate(lodging.tests(self.asked, None)):
            if not good:
                raise RuntimeError(f"the data set's own solution of '{self.name}' fails its test {number}: {what}")
            for call in what:
                # As text, for Python holds 1, 1.0 and True for the same.
                if (text := json.dumps(call)) not in known:
                    known.add(text)
                    self.calls.append(call)

    def refusal(self, lodging: Lodging, submitted: str) -> str:
        return lodging.refusal(self.before, submitted, self.name)

    def passed(self, lodging: Lodging, submitted: str) -> tuple[int, int]:
        given = lodging.calls(self.before, submitted, self.name, self.calls)
        table = [[call, one.good, one.what] for call, one in zip(self.calls, given, strict=True)]
        return sum(good for good, _ in lodging.tests(self.asked, table)), len(self.tests)


@dataclass(frozen=True, slots=True)
class Value(Quest):
    """An exact value."""

    right: str

    def passed(self, lodging: Lodging, submitted: str) -> tuple[int, int]:
        return int(equal(submitted, self.right)), 1


def same(frozen: Any, right: Any) -> bool:
    """Whether a frozen value is the right one: types count, a tuple is a list, floats are compared to 1e-9."""
    if isinstance(frozen, dict):
        if len(frozen) != 1:
            return False
        [(kind, inner)] = frozen.items()
        if kind == "tuple" and isinstance(inner, list):
            return same(inner, right)
        if kind == "int" and isinstance(inner, str) and isinstance(right, int):
            return inner == hex(right)
        if kind == "dict" and isinstance(right, dict) and isinstance(inner, list):
            pairs = [pair for pair in inner if isinstance(pair, list) and len(pair) == 2]
            names = [name for name, _ in pairs]
            if len(pairs) != len(inner) or not all(isinstance(name, str) for name in names):
                return False
            return sorted(names) == sorted(right) and all(same(value, right[name]) for name, value in pairs)
        return False
    if isinstance(frozen, list):
        return isinstance(right, list) and len(frozen) == len(right) and all(map(same, frozen, right))
    if type(frozen) is float and type(right) is float:
        return math.isclose(frozen, right, rel_tol=1e-9, abs_tol=1e-12)
    return type(frozen) is type(right) and bool(frozen == right)
