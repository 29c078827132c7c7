"""Nodes that know their neighbours. 1: which has most; 2: how far the farthest is; 3: what the cheapest way costs."""

from __future__ import annotations

import heapq
from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Graph"]


class Graph(Program):
    """Nodes that know their neighbours."""

    story = "Each node knows its neighbours."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        self.level = level
        size = calls - 1
        self.edges: list[dict[int, int]] = []
        """(size,) Neighbour -> what the way to it costs, in the order of their numbers."""
        while not self._fit():
            self.edges = [{} for _ in range(size)]
            names = rng.sample(range(size), size)
            reach = rng.randint(1, size)
            ways = [(rng.randrange(max(0, node - reach), node), node) for node in range(1, size)]
            ways += [(node, rng.randrange(node)) for node in rng.sample(range(1, size), size // 3)]
            for one, other in ways:
                cost = rng.randint(1, 9) if level == 3 else 1
                self.edges[names[one]][names[other]] = self.edges[names[other]][names[one]] = cost
        self.edges = [dict(sorted(near.items())) for near in self.edges]
        self.answer = self._answer()
        self.seen = [False] * size
        self.question = (
            f"There are nodes 1 to {size}. Which has most neighbours?",
            f"There are nodes 1 to {size}. How many edges is the farthest node away from node 1?",
            f"There are nodes 1 to {size}. What does the cheapest way from node 1 to node {size} cost?",
        )[level - 1]

    @tool
    def near(self, node: int) -> str:
        """The neighbours of a node."""
        if not 1 <= node <= len(self.edges):
            return f"There is no node {node}."
        self.seen[node - 1] = True
        costs = self.edges[node - 1]
        return " ".join(f"{other + 1}:{cost}" if self.level == 3 else f"{other + 1}" for other, cost in costs.items())

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        return answer == self.answer

    def plan(self) -> Iterator[Call]:
        for place, seen in enumerate(self.seen):
            if not seen:
                yield "near", {"node": place + 1}
        yield "done", {"answer": self.answer}

    def _fit(self) -> bool:
        """Whether the edges are drawn, and ask for what the level asks for."""
        degrees = sorted(map(len, self.edges))
        return bool(degrees) and (self.level != 1 or degrees[-1] > degrees[-2])

    def _answer(self) -> int:
        if self.level == 1:
            return max(range(len(self.edges)), key=lambda node: len(self.edges[node])) + 1
        costs = {0: 0}
        frontier = [(0, 0)]
        while frontier:
            cost, node = heapq.heappop(frontier)
            for other, step in self.edges[node].items():
                if cost + step < costs.get(other, cost + step + 1):
                    costs[other] = cost + step
                    heapq.heappush(frontier, (cost + step, other))
        return max(costs.values()) if self.level == 2 else costs[len(self.edges) - 1]
