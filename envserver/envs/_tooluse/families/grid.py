"""Cells to walk through. 1: gems in a corridor, counted; 2: their worth on a winding way; 3: in a maze, and back."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Literal

from envserver.envs._tooluse.draws import marked
from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Grid"]

STEPS = {"n": (0, -1), "e": (1, 0), "s": (0, 1), "w": (-1, 0)}
BACK = {"n": "s", "e": "w", "s": "n", "w": "e"}


class Grid(Program):
    """Cells to walk through."""

    story = "You walk from cell to cell; some cells hold a gem or a coin."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        self.level = level
        cells = (calls - 1) // 2 + 1 if level == 3 else calls
        self.parents = [-1]
        """(cells,) The cell towards the start."""
        self.ways: list[str] = [""]
        """(cells,) The way in which a cell was come to from its parent."""
        taken = {(0, 0): 0}
        places = [(0, 0)]
        way = "e"
        while len(places) < cells:
            if level == 1:
                parent = len(places) - 1
            elif level == 2:
                parent = len(places) - 1
                way = rng.choice([one for one in "ens" if one != BACK[way]])
            else:
                parent, way = rng.randrange(len(places)), rng.choice("nesw")
            x, y = places[parent]
            place = (x + STEPS[way][0], y + STEPS[way][1])
            if place not in taken:
                taken[place] = len(places)
                places.append(place)
                self.parents.append(parent)
                self.ways.append(way)
        self.worth = [0] * cells
        self.held = ["bare"] * cells
        for cell, gem in enumerate(marked(rng, cells - 1), 1):
            if gem:
                self.worth[cell] = 1 if level == 1 else rng.randint(1, 9)
                self.held[cell] = "gem" if level == 1 else f"gem {self.worth[cell]}"
            elif rng.random() < 0.5:
                self.held[cell] = "coin"
        self.at = 0
        self.seen = [True] + [False] * (cells - 1)
        self.question = (
            f"A corridor of {cells - 1} cells lies to the east. How many gems are in it?",
            f"{self._shown(0)}. Walk to the end. What are all gems worth?",
            f"{self._shown(0)}. See all {cells} cells and come back here. What are all gems worth?",
        )[level - 1]

    @tool
    def go(self, way: Literal["n", "e", "s", "w"]) -> str:
        """Walk to the next cell."""
        leads = self._leads(self.at)
        if way not in leads:
            return "wall"
        self.at = leads[way]
        self.seen[self.at] = True
        return self.held[self.at] if self.level == 1 else self._shown(self.at)

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        return answer == sum(self.worth) and (self.level < 3 or self.at == 0)

    def plan(self) -> Iterator[Call]:
        if self.level == 3:
            for way in self._tour():
                yield "go", {"way": way}
        elif not all(self.seen):
            for cell in range(self.at + 1, len(self.ways)):
                yield "go", {"way": self.ways[cell]}
        yield "done", {"answer": sum(self.worth)}

    def _leads(self, cell: int) -> dict[str, int]:
        """Way -> cell, in the order in which cells were made."""
        leads = {BACK[self.ways[cell]]: self.parents[cell]} if cell else {}
        return leads | {self.ways[child]: child for child, parent in enumerate(self.parents) if parent == cell}

    def _shown(self, cell: int) -> str:
        return f"{self.held[cell]}, ways {' '.join(sorted(self._leads(cell)))}"

    def _tour(self) -> Iterator[str]:
        """The ways of a walk through all cells that were not seen, and back to the start."""
        needed = [not seen for seen in self.seen]
        children: list[list[int]] = [[] for _ in self.parents]
        for cell in range(len(self.parents) - 1, 0, -1):
            needed[self.parents[cell]] |= needed[cell]
            children[self.parents[cell]].append(cell)
        for below in children:
            below.sort(key=lambda child: self.ways[child])
        at, came = self.at, -1
        while True:
            for child in children[at]:
                if child != came and needed[child]:
                    yield from self._below(child, children, needed)
            if at == 0:
                return
            yield BACK[self.ways[at]]
            at, came = self.parents[at], at

    def _below(self, cell: int, children: list[list[int]], needed: list[bool]) -> Iterator[str]:
        """Into a cell, through what is needed below it, and out again."""
        yield self.ways[cell]
        for child in children[cell]:
            if needed[child]:
                yield from self._below(child, children, needed)
        yield BACK[self.ways[cell]]
