"""Which games a data set has, by split, and which it has but cannot be played."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from envserver.envs._alfworld.keys import SPLITS

__all__ = ["DataUnreadable", "Index", "told"]

PATIENCE_S = 2.0
"""After this a bar is drawn where a person is watching."""


class DataUnreadable(ValueError):
    """The data set cannot be used; the sentence says why and what to do."""


@dataclass
class Index:
    """What was found."""

    games: dict[str, dict[str, tuple[int, int]]] = field(default_factory=lambda: {split: {} for split in SPLITS})
    """Split -> id -> first byte and length in a packed file; (0, 0) in a directory."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Id -> why it is not played: "is marked unsolvable", "has no game.tw-pddl"."""

    def __len__(self) -> int:
        return sum(len(games) for games in self.games.values())

    def reasons(self) -> str:
        """Why games were skipped: "43 games: is marked unsolvable, 2 games: ends in the middle"."""
        counts = Counter(self.skipped.values())
        return ", ".join(f"{count} games: {reason}" for reason, count in counts.most_common(4))


def told(label: str, total: int, steps: Iterable[int]) -> Iterator[None]:
    """Goes through `steps`, each a size; draws them as a bar on standard error where they take long."""
    begun, done, bar = time.monotonic(), 0, None
    try:
        for step in steps:
            yield
            done += step
            if bar is not None:
                bar.update(bar.task_ids[0], completed=done)
            elif time.monotonic() - begun > PATIENCE_S and sys.stderr.isatty():
                from rich.console import Console
                from rich.progress import Progress

                bar = Progress(console=Console(stderr=True))
                bar.add_task(label, total=total, completed=done)
                bar.start()
    finally:
        if bar is not None:
            bar.stop()
