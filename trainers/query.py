"""Which episodes may train: query data, and never what taught the skills it would train under.

MetaClaw (arXiv 2603.17187): a sample keeps the generation g of the skills it was played with. Failures that teach
S_{g+1} are support data; when it comes into use, whatever was collected under a version <= g is flushed, and what is
collected from then on is query data, the only data that trains. The reading `episodes` is ours: what taught a skill is
left out for good, and the other episodes of versions <= g may train.

Rule: there is one counter, the library's. Prompts are stamped from it when their skills are chosen, it rises here
alone, and whoever trains, on a step's episodes or from a buffer, asks here.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal

from agents.library import Library
from agents.types import Episode
from trainers.algorithms.base import Group

__all__ = ["QueryData", "Stale", "generation_of"]


class Stale(RuntimeError):
    """Raised where an episode is about to train that may not."""


class QueryData:
    """The line between support and query data in one run."""

    def __init__(self, library: Library, reading: Literal["flush", "episodes"] = "flush") -> None:
        self.library = library
        self.reading = reading
        self._support: set[str] = set()
        """Ids of the episodes that have taught a skill."""

    @property
    def generation(self) -> int:
        """Of the skills in use."""
        return self.library.generation

    def teach(self, support: Iterable[Episode]) -> int:
        """These episodes have taught skills, which are in the library by now: the next generation begins.

        Raises ValueError for an episode without an id, which could not be told from others.
        """
        ids = {episode.id for episode in support}
        if "" in ids:
            raise ValueError("an episode without an id cannot teach: give it the one its session had")
        self._support |= ids
        return self.library.evolve()

    def trains(self, episode: Episode) -> bool:
        """Whether an episode is query data."""
        if episode.id in self._support:
            return False
        return self.reading == "episodes" or generation_of(episode, self.generation) >= self.generation

    def query(self, groups: Sequence[Group]) -> list[Group]:
        """The groups without support data, those left out that hold nothing else; what is not touched is the same."""
        found: list[Group] = []
        for group in groups:
            kept = [index for index, episode in enumerate(group.episodes) if self.trains(episode)]
            if len(kept) == len(group.episodes):
                found.append(group)
            elif kept:
                rewards = [group.rewards[index] for index in kept]
                found.append(Group(group.task, [group.episodes[index] for index in kept], rewards))
        return found

    def check(self, episodes: Iterable[Episode]) -> None:
        """Before an update: raises Stale where one of these is support data."""
        for episode in episodes:
            if not self.trains(episode):
                raise Stale(
                    f"episode '{episode.id}' was played under generation {generation_of(episode, self.generation)} and "
                    f"the skills are at {self.generation}: it has taught them or is older, so take it out of the batch"
                )

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs, as plain JSON."""
        return {"generation": self.generation, "support": sorted(self._support)}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.library.generation, self._support = state["generation"], set(state["support"])


def generation_of(episode: Episode, default: int) -> int:
    """The oldest generation that a prompt of the episode was made under; `default` where none was made."""
    return min((turn.prompt.generation for turn in episode.turns), default=default)
