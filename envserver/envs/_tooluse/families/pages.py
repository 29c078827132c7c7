"""Pages that name the next one. 1: the greatest number on the way; 2: how many are red; 3: two links, the number says
which to follow, and the sum is asked for."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from envserver.envs._tooluse.draws import capped, marked
from envserver.envs._tooluse.program import Call, Program, tool

__all__ = ["Pages"]

ASKED = (
    "What is the greatest number on the way to the end?",
    "How many pages on the way to the end are red?",
    "On an even number follow the first link, else the second. What is the sum of the numbers on the way to the end?",
)


class Pages(Program):
    """Pages that name the next one."""

    story = "Each page names the page that comes next."

    def __init__(self, rng: Random, calls: int, level: int) -> None:
        self.level = level
        length = calls - 1
        self.way = rng.sample(range(10, 100) if length <= 60 else range(100, 1000), length)
        """Page numbers in the order in which they are read."""
        self.digits = capped(rng, length) if level != 2 else []
        self.red = marked(rng, length) if level == 2 else []
        self.others = [rng.choice(self.way) for _ in range(length)] if level == 3 else []
        """Where the wrong link leads."""
        self.answer = sum(self.red) if level == 2 else max(self.digits) if level == 1 else sum(self.digits)
        self.seen = [False] * length
        self.question = f"Begin at page {self.way[0]}. {ASKED[level - 1]}"

    @tool
    def open(self, page: int) -> str:
        """Read a page."""
        if page not in self.way:
            return f"There is no page {page}."
        place = self.way.index(page)
        self.seen[place] = True
        shown = ("red" if self.red[place] else "blue") if self.level == 2 else str(self.digits[place])
        if place + 1 == len(self.way):
            return f"{shown}, end"
        links = [self.way[place + 1]]
        if self.level == 3:
            links.insert(1 if self.digits[place] % 2 == 0 else 0, self.others[place])
        return f"{shown}, next {' or '.join(map(str, links))}"

    @tool
    def done(self, answer: int) -> bool:
        """Answer the question."""
        return answer == self.answer

    def plan(self) -> Iterator[Call]:
        for page, seen in zip(self.way, self.seen, strict=True):
            if not seen:
                yield "open", {"page": page}
        yield "done", {"answer": self.answer}
