"""A generated corpus as what it says: things and the relations between them, a function of a seed and a size.

Every thing has a label that no other has, and every relation of a thing has one object: so a chain of relations from a
label leads to one answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from random import Random

from envserver.envs._search.names import Namer
from envserver.envs._search.relations import KINDS, of_kind

__all__ = ["Graph", "Thing", "graph"]

SHARES: Mapping[str, float] = {"place": 0.15, "organisation": 0.14, "event": 0.15, "work": 0.18, "person": 0.38}
"""Of all things; places come first, for others are named after them."""
YEARS: Mapping[str, tuple[int, int]] = {
    "person": (1690, 1930),
    "place": (1080, 1640),
    "organisation": (1650, 1960),
    "event": (1780, 1980),
    "work": (1700, 1980),
}


@dataclass(slots=True)
class Thing:
    """Whatever has a page."""

    row: int
    """Its place in the corpus."""
    kind: str
    sort: str
    name: str
    """As people say it; several may share it."""
    label: str = ""
    """Its own: the name, with the sort before it where the name is shared."""
    title: str = ""
    """The same as the page's title: `Ada Berdorf (botanist)`."""
    facts: dict[str, Thing | str] = field(default_factory=dict, repr=False)
    """Relation -> object: a thing, or a year or a river in words."""
    told_by: list[tuple[Thing, str]] = field(default_factory=list, repr=False)
    """The facts whose object it is: subject and relation."""

    @property
    def shared(self) -> bool:
        """Whether another has the same name."""
        return self.label != self.name


class Graph:
    """All things, by row, and who has what."""

    def __init__(self, things: list[Thing]) -> None:
        self.things = things
        self._having: dict[tuple[str, str], list[Thing]] = {}
        """Relation and object's label -> subjects."""
        for thing in things:
            for relation, value in thing.facts.items():
                self._having.setdefault((relation, said(value)), []).append(thing)

    def having(self, sort: str, facts: Mapping[str, str]) -> list[Thing]:
        """The things of a sort of which all these facts are true: relation -> label of the object, year or river."""
        (first, *rest) = facts.items()
        found = [thing for thing in self._having.get(first, ()) if thing.sort == sort]
        return [thing for thing in found if all(said(thing.facts.get(name, "")) == value for name, value in rest)]


def said(value: Thing | str) -> str:
    """An object as it is told."""
    return value if isinstance(value, str) else value.label


@lru_cache(maxsize=2)
def graph(seed: int, pages: int) -> Graph:
    """The things of the corpus of a seed, as many as its pages; made once a process."""
    rng = Random(f"search/{seed}/{pages}")
    rows = list(range(pages))
    rng.shuffle(rows)  # what stands beside a page says nothing about it
    namer = Namer(rng)
    things: list[Thing] = []
    for kind in SHARES:
        count = pages - len(things) if kind == "person" else int(SHARES[kind] * pages)
        for _ in range(count):
            sort = rng.choice(KINDS[kind])
            things.append(Thing(rows[len(things)], kind, sort, getattr(namer, kind)(sort)))
    _label(things)
    _relate(things, namer, rng)
    return Graph(sorted(things, key=lambda thing: thing.row))


def _label(things: list[Thing]) -> None:
    counts: dict[str, int] = {}
    for thing in things:
        counts[thing.name] = counts.get(thing.name, 0) + 1
    for thing in things:
        alone = counts[thing.name] == 1
        thing.label = thing.name if alone else f"the {thing.sort} {thing.name}"
        thing.title = thing.name if alone else f"{thing.name} ({thing.sort})"


def _relate(things: list[Thing], namer: Namer, rng: Random) -> None:
    by_kind: dict[str, list[Thing]] = {}
    for thing in things:
        by_kind.setdefault(thing.kind, []).append(thing)
    rivers = [namer.river() for _ in range(40)]
    for thing in things:
        for relation in of_kind(thing.kind):
            if relation.object == "year":
                thing.facts[relation.name] = str(rng.randint(*YEARS[thing.kind]))
            elif relation.object == "river":
                thing.facts[relation.name] = rng.choice(rivers)
            else:
                choice = by_kind[relation.object]
                value = rng.choice(choice)
                while value is thing:
                    value = rng.choice(choice)
                thing.facts[relation.name] = value
                value.told_by.append((thing, relation.name))
