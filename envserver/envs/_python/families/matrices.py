"""Matrices changed in some steps."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Matrices"]

Rows = list[list[int]]
Step = tuple[str, str, Callable[[Rows], Rows]]


class Matrices(Coding):
    """Matrices changed in some steps."""

    takes, gives = "rows: list[list[int]]", "list[list[int]]"

    def __init__(self, rng: Random, level: int) -> None:
        makers = rng.sample((_quarter, _scale, _shift, _border, _square, _order, _flip), level + 1)
        self.steps = [maker(rng) for maker in makers]
        told = " Then ".join(words for words, _, _ in self.steps)
        self.words = f"rows is a square matrix. {told[0].upper()}{told[1:]} Give the matrix."
        lines = ["n = len(rows)", *(code for _, code, _ in self.steps)]
        self.gold = "\n    ".join(["def solve(rows):", *lines, "return rows"]) + "\n"

    def sample(self, rng: Random) -> tuple[Rows]:
        n = rng.randint(2, 5)
        return ([[rng.randint(-9, 20) for _ in range(n)] for _ in range(n)],)

    def answer(self, rows: Rows) -> Rows:
        for _, _, step in self.steps:
            rows = step(rows)
        return rows


def _quarter(rng: Random) -> Step:
    times = rng.randint(1, 3)
    code = f"for _ in range({times}): rows = [list(row) for row in zip(*rows[::-1])]"

    def step(rows: Rows) -> Rows:
        for _ in range(times):
            last = len(rows) - 1
            rows = [[rows[last - j][i] for j in range(last + 1)] for i in range(last + 1)]
        return rows

    return f"turn it by {90 * times} degrees clockwise.", code, step


def _scale(rng: Random) -> Step:
    a, b = rng.randint(2, 9), rng.randint(1, 9)
    code = f"rows = [[{a} * rows[i][j] + {b} * (i + j) for j in range(n)] for i in range(n)]"
    return (
        f"put {a}x + {b}(i + j) for the number x in row i and column j, both counted from 0.",
        code,
        lambda rows: [[a * x + b * (i + j) for j, x in enumerate(row)] for i, row in enumerate(rows)],
    )


def _shift(rng: Random) -> Step:
    k = rng.randint(1, 4)
    code = f"rows = [[row[(j - {k} * i) % n] for j in range(n)] for i, row in enumerate(rows)]"

    def step(rows: Rows) -> Rows:
        out = []
        for i, row in enumerate(rows):
            moved = list(row)
            for _ in range(k * i):
                moved.insert(0, moved.pop())
            out.append(moved)
        return out

    return f"move the numbers of row i (the first is row 0) right by {k}i places, round the end.", code, step


def _border(rng: Random) -> Step:
    k = rng.randint(2, 9)
    code = f"rows = [[x * {k} if 0 in (i, j) or n - 1 in (i, j) else x for j, x in enumerate(row)]"
    code += " for i, row in enumerate(rows)]"

    def step(rows: Rows) -> Rows:
        rows = [list(row) for row in rows]
        last = len(rows) - 1
        edge = {(i, j) for i in range(last + 1) for j in (0, last)} | {
            (j, i) for i in range(last + 1) for j in (0, last)
        }
        for i, j in edge:
            rows[i][j] *= k
        return rows

    return f"multiply every number on the border by {k}.", code, step


def _square(rng: Random) -> Step:
    m = rng.randint(11, 99)
    code = f"rows = [[sum(rows[i][k] * rows[k][j] for k in range(n)) % {m} for j in range(n)] for i in range(n)]"

    def step(rows: Rows) -> Rows:
        columns = list(zip(*rows, strict=True))
        return [[sum(a * b for a, b in zip(row, column, strict=True)) % m for column in columns] for row in rows]

    return f"multiply it by itself, each number modulo {m} (Python's %).", code, step


def _order(rng: Random) -> Step:
    m = rng.randint(2, 9)
    code = f"rows = sorted(rows, key=lambda row: (sum(row) % {m}, row))"

    def step(rows: Rows) -> Rows:
        return sorted(sorted(rows), key=lambda row: sum(row) % m)

    told = f"sort the rows by their sum modulo {m} (Python's %), where it is the same by the first numbers that differ."
    return told, code, step


def _flip(rng: Random) -> Step:
    m = rng.randint(2, 4)
    code = f"rows = [row[::-1] if i % {m} == 0 else row for i, row in enumerate(rows)]"

    def step(rows: Rows) -> Rows:
        rows = [list(row) for row in rows]
        for row in rows[::m]:
            row.reverse()
        return rows

    return f"turn round row 0 and every {m}th after it.", code, step
