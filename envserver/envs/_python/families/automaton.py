"""Simulation: cells in a row that change together."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Automaton"]


class Automaton(Coding):
    """Cells in a row that change together."""

    takes, gives = "cells: str, steps: int", "str"

    def __init__(self, rng: Random, level: int) -> None:
        self.dead, self.alive = rng.sample(".#-+oxO_", 2)
        self.ring = rng.random() < 0.5
        around = 1 if level == 1 else 2
        self.around = around
        counts = range(2 * around + 1)
        self.born = sorted(rng.sample(counts[1:], rng.randint(1, around)))
        self.stays = sorted(rng.sample(counts, rng.randint(1, around + 1)))
        self.every = rng.randint(3, 6) if level == 3 else 0
        near = "the one on each side" if around == 1 else "the two on each side"
        edge = "The row is a ring: beyond an end is the other." if self.ring else "Beyond the ends all is dead."
        told = [
            f"A cell is dead ({self.dead}) or alive ({self.alive}). In a step all cells change together, by how many "
            f"of their neighbours ({near}) are alive: a dead cell comes alive at {_or(self.born)}, an alive cell stays "
            f"alive at {_or(self.stays)}; every other is dead afterwards. {edge}"
        ]
        if self.every:
            told.append(f"After every {self.every}th step dead cells come alive and alive ones die.")
        self.words = " ".join([*told, "Give the row after so many steps."])
        place = "(i + d) % n" if self.ring else "i + d"
        inside = "" if self.ring else " and 0 <= i + d < n"
        self.gold = f"""def solve(cells, steps):
    row = [c == '{self.alive}' for c in cells]
    n = len(row)
    for step in range(1, steps + 1):
        new = []
        for i in range(n):
            near = sum(row[{place}] for d in range({-around}, {around + 1}) if d{inside})
            new.append(near in ({self.stays} if row[i] else {self.born}))
        row = new
        if {self.every} and step % {self.every or 1} == 0:
            row = [not c for c in row]
    return ''.join('{self.alive}' if c else '{self.dead}' for c in row)
"""

    def sample(self, rng: Random) -> tuple[str, int]:
        cells = "".join(rng.choice((self.dead, self.alive)) for _ in range(rng.randint(8, 24)))
        return cells, rng.randint(1, 6)

    def answer(self, cells: str, steps: int) -> str:
        for step in range(1, steps + 1):
            n, around = len(cells), self.around
            wide = (cells[-around:] + cells + cells[:around]) if self.ring else self.dead * around + cells
            wide += "" if self.ring else self.dead * around
            new = ""
            for i in range(n):
                near = (wide[i : i + around] + wide[i + around + 1 : i + 2 * around + 1]).count(self.alive)
                lives = near in (self.stays if cells[i] == self.alive else self.born)
                if self.every and step % self.every == 0:
                    lives = not lives
                new += self.alive if lives else self.dead
            cells = new
        return cells


def _or(counts: list[int]) -> str:
    return " or ".join(map(str, counts))
