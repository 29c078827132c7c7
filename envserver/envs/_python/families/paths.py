"""Graphs: what the cheapest way costs."""

from __future__ import annotations

from random import Random

from envserver.envs._python.problem import Coding

__all__ = ["Paths"]

Edges = list[list[int]]


class Paths(Coding):
    """What the cheapest way costs."""

    takes, gives = "nodes: int, edges: list[list[int]]", "int"

    def __init__(self, rng: Random, level: int) -> None:
        self.a, self.b = rng.randint(2, 20), rng.randint(1, 60)
        self.oneway = rng.random() < 0.5
        self.toll, self.each = (rng.randint(3, 40), rng.randint(2, 5)) if level >= 2 else (0, 1)
        self.free = level >= 3
        kind = "leads from u to v only" if self.oneway else "can be gone both ways"
        told = [f"The nodes are 0 to nodes - 1. An edge [u, v, w] {kind} and costs {self.a}w + {self.b}."]
        if self.toll:
            told.append(f"Whoever comes to a node whose number is a multiple of {self.each} pays {self.toll} too,")
            told[-1] += " each time, but not for being at node 0 at the start."
        if self.free:
            told.append("One edge of the way may be gone for nothing; a toll for where it leads is still paid.")
        told.append("What does the cheapest way from node 0 to node nodes - 1 cost? Give -1 where there is none.")
        self.words = " ".join(told)
        self.gold = f"""import heapq

def solve(nodes, edges):
    near = [[] for _ in range(nodes)]
    for u, v, w in edges:
        near[u].append((v, {self.a} * w + {self.b}))
        if not {self.oneway}:
            near[v].append((u, {self.a} * w + {self.b}))
    queue, seen = [(0, 0, {int(self.free)})], set()
    while queue:
        cost, node, free = heapq.heappop(queue)
        if node == nodes - 1:
            return cost
        if (node, free) in seen:
            continue
        seen.add((node, free))
        for other, price in near[node]:
            toll = {self.toll} if other % {self.each} == 0 else 0
            heapq.heappush(queue, (cost + price + toll, other, free))
            if free:
                heapq.heappush(queue, (cost + toll, other, 0))
    return -1
"""

    def sample(self, rng: Random) -> tuple[int, Edges]:
        nodes = rng.randint(5, 9)
        count = rng.randint(nodes, 2 * nodes)
        pairs = [rng.sample(range(nodes), 2) for _ in range(count)]
        return nodes, [[u, v, rng.randint(1, 30)] for u, v in pairs]

    def answer(self, nodes: int, edges: Edges) -> int:
        ways = list(edges) if self.oneway else [*edges, *([v, u, w] for u, v, w in edges)]
        best: dict[tuple[int, bool], int] = {(0, self.free): 0}
        for _ in range(2 * nodes):
            for u, v, w in ways:
                toll = self.toll if v % self.each == 0 else 0
                for free in (True, False):
                    if (u, free) not in best:
                        continue
                    offers = [(free, self.a * w + self.b)] + [(False, 0)] * free
                    for after, price in offers:
                        cost = best[u, free] + price + toll
                        best[v, after] = min(cost, best.get((v, after), cost))
        ends = [best[nodes - 1, free] for free in (True, False) if (nodes - 1, free) in best]
        return min(ends, default=-1)
