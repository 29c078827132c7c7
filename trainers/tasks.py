"""Which tasks there are, how they have gone, and which come next.

Rule: the draw is a function of the seed and of what was drawn before, and nothing else; a resumed run draws what the
unbroken one would have drawn.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from envserver.schema import Task
from skills_db.types import TaskStat

if TYPE_CHECKING:
    from pydantic import JsonValue

    from envserver.client import Gym

__all__ = ["TaskPool", "fetch_keys"]

PAGE = 1000
"""Keys of one request."""


async def fetch_keys(
    gym: Gym, env: str, split: str, *, limit: int | None = None, options: dict[str, JsonValue] | None = None
) -> list[str]:
    """The first `limit` task keys that `options` list in a split, page by page; None for all.

    Raises ValueError where there is none.
    """
    keys: list[str] = []
    while limit is None or len(keys) < limit:
        page_size = min(PAGE, (limit or PAGE + len(keys)) - len(keys))
        page = await gym.tasks(env, split, offset=len(keys), limit=page_size, options=options)
        keys += page.keys
        if not page.keys or len(keys) >= page.total:
            break
    if not keys:
        raise ValueError(f"environment '{env}' has no task in split '{split}'; choose another split")
    return keys


@dataclass(slots=True)
class _Tally:
    """Running mean and spread of one task's returns (Welford)."""

    visits: int = 0
    mean: float = 0.0
    squares: float = 0.0
    """Sum of squared deviations from the mean, each by the weight of its visit."""
    best: float = float("-inf")
    weight: float = 0.0
    """Of the visits together: their number where none has faded."""

    def __post_init__(self) -> None:
        self.weight = self.weight or self.visits

    def add(self, value: float) -> None:
        self.visits += 1
        self.weight += 1
        gap = value - self.mean
        self.mean += gap / self.weight
        self.squares += gap * (value - self.mean)
        self.best = max(self.best, value)

    def fade(self, keep: float) -> None:
        """What is known weighs less against what comes."""
        self.weight *= keep
        self.squares *= keep


class TaskPool:
    """The tasks of one split: draws them, and remembers how each has gone."""

    def __init__(
        self, env: str, keys: Sequence[str], *, seed: int = 0, options: dict[str, JsonValue] | None = None
    ) -> None:
        """`options` goes into every Task. Raises ValueError on no keys or a key that stands twice."""
        if not keys:
            raise ValueError(f"a pool of tasks of '{env}' needs at least one key")
        if len(set(keys)) != len(keys):
            raise ValueError(f"the task keys of '{env}' are not unique")
        self.env = env
        self.keys = list(keys)
        self.options = dict(options or {})
        self._seed = seed
        self._epoch = 0
        self._order: list[int] = []
        """Indexes still to be drawn in this epoch, the next one last."""
        self._tallies: dict[str, _Tally] = {}
        self._draws = 0
        """Sources of draws that were given out."""

    def __len__(self) -> int:
        return len(self.keys)

    def task(self, key: str) -> Task:
        """The Task of a key."""
        return Task(env=self.env, key=key, options=self.options)

    def first(self, n: int) -> list[Task]:
        """The first n tasks of a random order of their own, as many as there are: those that are demonstrated."""
        order = list(range(len(self.keys)))
        random.Random(f"{self._seed}/first").shuffle(order)
        return [self.task(self.keys[index]) for index in order[:n]]

    def draw(self, n: int) -> list[Task]:
        """The next n tasks: every task once, in random order, before any comes again.

        No task stands twice in one draw unless n is more than there are.
        """
        chosen: list[int] = []
        while len(chosen) < n:
            if not self._order:
                self._order = list(range(len(self.keys)))
                random.Random(f"{self._seed}/{self._epoch}").shuffle(self._order)
                self._epoch += 1
                drawn = set(chosen)
                # What this very draw already has goes to the end of the new epoch.
                self._order.sort(key=lambda index: index not in drawn)
            chosen.append(self._order.pop())
        return [self.task(self.keys[index]) for index in chosen]

    def rng(self) -> random.Random:
        """The next source of draws; a resumed run's is the unbroken one's."""
        self._draws += 1
        return random.Random(f"{self._seed}/draw/{self._draws}")

    def weighted(self, n: int, weights: Mapping[str, float]) -> list[Task]:
        """At most n different tasks, drawn one after the other in proportion to their weights; 0 is never drawn."""
        left = {key: weight for key, weight in weights.items() if weight > 0}
        rng = self.rng()
        chosen: list[str] = []
        while left and len(chosen) < n:
            [key] = rng.choices(list(left), list(left.values()))
            chosen.append(key)
            del left[key]
        return [self.task(key) for key in chosen]

    def observe(self, task: Task, returns: Sequence[float], *, keep: float = 1.0) -> None:
        """Take in the returns of one group of valid episodes; earlier ones weigh `keep` of what they did."""
        tally = self._tallies.setdefault(task.key, _Tally())
        tally.fade(keep)
        for value in returns:
            tally.add(value)

    def stats(self, task: Task) -> TaskStat:
        """How a task has gone; visits 0 and zeros where it was never played."""
        tally = self._tallies.get(task.key)
        if tally is None or not tally.visits:
            return TaskStat(env=self.env, key=task.key, visits=0, mean=0.0, variance=0.0, best=0.0)
        variance = tally.squares / tally.weight
        return TaskStat(self.env, task.key, tally.visits, tally.mean, variance, tally.best)

    def seen(self) -> list[TaskStat]:
        """How every task has gone that was played."""
        return [self.stats(self.task(key)) for key in self._tallies]

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs, as plain JSON."""
        return {
            "env": self.env,
            "size": len(self.keys),
            "seed": self._seed,
            "epoch": self._epoch,
            "order": list(self._order),
            "draws": self._draws,
            "tallies": {key: [t.visits, t.mean, t.squares, t.best, t.weight] for key, t in self._tallies.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`. Raises ValueError where it belongs to another set of tasks."""
        if (state["env"], state["size"]) != (self.env, len(self.keys)):
            raise ValueError(
                f"the checkpoint's pool has {state['size']} tasks of '{state['env']}', this run {len(self.keys)} of "
                f"'{self.env}'; resume with the same [env]"
            )
        self._seed, self._epoch, self._order = state["seed"], state["epoch"], list(state["order"])
        self._draws = state.get("draws", 0)
        self._tallies = {key: _Tally(*values) for key, values in state["tallies"].items()}
