"""Whole numbers changed in some steps, and one number made of them."""

from __future__ import annotations

from collections.abc import Callable
from itertools import accumulate
from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Lists"]

Numbers = list[int]
Step = tuple[str, str, Callable[[Numbers], Numbers]]


class Lists(Coding):
    """Whole numbers changed in some steps."""

    takes, gives = "numbers: list[int]", "list[int]"

    def __init__(self, rng: Random, level: int) -> None:
        makers = rng.sample((_keep, _scale, _sums, _turn, _every, _once, _gaps, _order), level + 1)
        self.steps = [maker(rng) for maker in makers]
        told = " Then ".join(words for words, _, _ in self.steps)
        self.words = f"{told[0].upper()}{told[1:]} Give the list."
        lines = [code for _, code, _ in self.steps]
        self.gold = "\n    ".join(["def solve(numbers):", *lines, "return numbers"]) + "\n"

    def sample(self, rng: Random) -> tuple[Numbers]:
        return ([rng.randint(-20, 40) for _ in range(rng.randint(6, 16))],)

    def answer(self, numbers: Numbers) -> Numbers:
        for _, _, step in self.steps:
            numbers = step(numbers)
        return numbers


def _keep(rng: Random) -> Step:
    m, r = (m := rng.randint(2, 5)), rng.randint(0, m - 1)
    code = f"numbers = [x for x in numbers if x % {m} != {r}]"
    return (
        f"leave out what gives {r} modulo {m} (Python's %).",
        code,
        lambda numbers: [x for x in numbers if (x - r) % m],
    )


def _scale(rng: Random) -> Step:
    a, b = rng.randint(2, 9), rng.randint(-9, 9)
    code = f"numbers = [{a} * x + {b} for x in numbers]"
    return f"put {a}x + {b} for every x.".replace("+ -", "- "), code, lambda numbers: [a * x + b for x in numbers]


def _sums(rng: Random) -> Step:
    start = rng.randint(1, 50)
    code = f"numbers = [{start} + sum(numbers[:i + 1]) for i in range(len(numbers))]"
    return (
        f"put for every number {start} plus the sum of all up to it, itself included.",
        code,
        lambda numbers: list(accumulate(numbers, initial=start))[1:],
    )


def _turn(rng: Random) -> Step:
    k = rng.randint(1, 7)
    code = f"numbers = [numbers[(i - {k}) % len(numbers)] for i in range(len(numbers))]"

    def step(numbers: Numbers) -> Numbers:
        numbers = list(numbers)
        for _ in range(k if numbers else 0):
            numbers.insert(0, numbers.pop())
        return numbers

    return f"move the last number to the front, {k} times over.", code, step


def _every(rng: Random) -> Step:
    k, first = (k := rng.randint(2, 4)), rng.randint(1, k)
    code = f"numbers = [x for i, x in enumerate(numbers) if (i + 1) % {k} != {first % k}]"

    def step(numbers: Numbers) -> Numbers:
        numbers = list(numbers)
        del numbers[first - 1 :: k]
        return numbers

    return f"strike out number {first} of the list, counted from 1, and every {k}th after it.", code, step


def _once(rng: Random) -> Step:
    k = rng.randint(3, 12)
    code = f"numbers = [x for i, x in enumerate(numbers) if x % {k} not in [y % {k} for y in numbers[:i]]]"

    def step(numbers: Numbers) -> Numbers:
        first: dict[int, int] = {}
        for x in numbers:
            first.setdefault(x % k, x)
        return list(first.values())

    return f"keep of all numbers that are the same modulo {k} only the first.", code, step


def _gaps(rng: Random) -> Step:
    k = rng.randint(2, 6)
    code = f"numbers = [b * {k} - a for a, b in zip(numbers, numbers[1:])]"
    return (
        f"put for each two neighbours a, b the number {k}b - a; the list gets one shorter.",
        code,
        lambda numbers: [numbers[i + 1] * k - numbers[i] for i in range(len(numbers) - 1)],
    )


def _order(rng: Random) -> Step:
    k = rng.randint(3, 12)
    code = f"numbers = sorted(numbers, key=lambda x: (x % {k}, -x))"

    def step(numbers: Numbers) -> Numbers:
        buckets: list[Numbers] = [[] for _ in range(k)]
        for x in sorted(numbers, reverse=True):
            buckets[x % k].append(x)
        return [x for bucket in buckets for x in bucket]

    return f"sort by the rest modulo {k}, least first, and where it is the same the greater number first.", code, step
