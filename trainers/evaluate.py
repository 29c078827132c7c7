"""How good a policy is on tasks it has not learned from, and how sure that is.

Rule: policies that are compared play the same tasks, and the comparison is paired. Episodes that are not valid are
counted and left out.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass

from agents.types import Episode
from envserver.client import Gym
from envserver.schema import Task
from trainers.compaction import compaction
from trainers.conduct import conduct
from trainers.display import Display
from trainers.kernels import kernels
from trainers.player import Player

__all__ = ["Comparison", "Evaluation", "compare", "evaluate", "wilson"]

Z = 1.959963984540054
"""Half-width of a 95 % interval in standard deviations."""


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The episodes of one policy on a list of tasks."""

    split: str
    temperature: float
    episodes: dict[str, list[Episode]]
    """Valid episodes by task key."""
    invalid: int
    """Episodes whose world or wire broke."""

    @property
    def count(self) -> int:
        """Valid episodes."""
        return sum(map(len, self.episodes.values()))

    @property
    def success(self) -> float:
        """Share of the valid episodes that solved their task."""
        return _mean([episode.success for found in self.episodes.values() for episode in found])

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95 % interval of the success; episodes of one task count as independent."""
        return wilson(round(self.success * self.count), self.count)

    @property
    def reward(self) -> float:
        """Mean raw return."""
        return _mean([sum(episode.rewards) for found in self.episodes.values() for episode in found])

    @property
    def turns(self) -> float:
        """Mean turns."""
        return _mean([len(episode.turns) for found in self.episodes.values() for episode in found])

    @property
    def conduct(self) -> dict[str, float]:
        """Refused and repeated actions, tags, success by type of task."""
        return conduct([episode for found in self.episodes.values() for episode in found])

    @property
    def compaction(self) -> dict[str, float]:
        """How often episodes were summed up, how that went, and what it saved; the share alone where none was."""
        return compaction([episode for found in self.episodes.values() for episode in found])

    @property
    def kernels(self) -> dict[str, float]:
        """How fast the kernels of an episode are; empty where the world measures none."""
        return kernels([episode for found in self.episodes.values() for episode in found])

    def metrics(self) -> dict[str, float]:
        """As a run logs them."""
        low, high = self.interval
        return {
            "eval/success": self.success,
            "eval/success_low": low,
            "eval/success_high": high,
            "eval/reward": self.reward,
            "eval/turns": self.turns,
            "eval/episodes": float(self.count),
        } | {f"eval/{name}": value for name, value in (self.conduct | self.compaction | self.kernels).items()}


@dataclass(frozen=True, slots=True)
class Comparison:
    """One policy's success less another's, over the tasks that both played."""

    difference: float
    low: float
    """Lower end of the 95 % interval over tasks."""
    high: float
    tasks: int


async def evaluate(
    player: Player,
    gym: Gym,
    tasks: Sequence[Task],
    *,
    split: str,
    episodes: int,
    temperature: float,
    display: Display,
    seed: int | None = None,
    keep: Callable[[Episode], Awaitable[None]] | None = None,
) -> Evaluation:
    """Play every task `episodes` times at `temperature` (0 is greedy); `keep` gets each episode as it ends."""

    async def ended(task: Task, episode: Episode) -> None:
        bar.advance()
        if keep is not None:
            await keep(episode)

    with display.bar(f"evaluating on {split}", len(tasks) * episodes) as bar:
        groups = await player.collect(
            gym,
            tasks,
            group_size=episodes,
            temperature=temperature,
            seed=seed,
            on_episode=ended,
        )
    valid = {
        task.key: [episode for episode in group if episode.valid] for task, group in zip(tasks, groups, strict=True)
    }
    invalid = sum(not episode.valid for group in groups for episode in group)
    return Evaluation(split, temperature, valid, invalid)


def wilson(successes: int, n: int) -> tuple[float, float]:
    """Wilson's 95 % score interval of a share; (0, 1) where nothing was played."""
    if not n:
        return 0.0, 1.0
    share = successes / n
    centre = share + Z * Z / (2 * n)
    spread = Z * math.sqrt(share * (1 - share) / n + Z * Z / (4 * n * n))
    below, above = (centre - spread) / (1 + Z * Z / n), (centre + spread) / (1 + Z * Z / n)
    return max(0.0, min(below, share)), min(1.0, max(above, share))


def compare(ours: Evaluation, theirs: Evaluation) -> Comparison:
    """Paired over the tasks that both have a valid episode of. Raises ValueError where there are fewer than two."""
    mine, yours = _by_task(ours), _by_task(theirs)
    gaps = [mine[key] - yours[key] for key in mine if key in yours]
    if len(gaps) < 2:
        raise ValueError("a paired comparison needs at least two tasks that both policies played")
    mean = statistics.fmean(gaps)
    half = Z * statistics.stdev(gaps) / math.sqrt(len(gaps))
    return Comparison(mean, mean - half, mean + half, len(gaps))


def _by_task(found: Evaluation) -> Mapping[str, float]:
    return {key: _mean([episode.success for episode in group]) for key, group in found.episodes.items() if group}


def _mean(values: Sequence[float]) -> float:
    return statistics.fmean(values) if values else 0.0
