"""VADE: Variance-Aware Dynamic Sampling via Online Sample-Level Difficulty Estimation (arXiv 2511.18902).

    p(x) ~ Beta(1 + a(x), 1 + b(x))            a draw for each task; the n greatest p (1 - p)^2 are played
    a(x) <- keep a(x) + solved,  b(x) <- keep b(x) + failed      on each group of x
    a, b <- drift a, drift b                                     on all tasks, each step
    A and loss: GRPO's

The paper's, as far as it is known: a Beta posterior of each task's correctness, Thompson sampling, the utility
p (1 - p)^2 (from a third party's table), prior decay on two scales, one that follows the task and one the policy, and
that it plugs into GRPO. Ours: all of the update, its constants, and the prior Beta(1, 1), which does not decay. A task
that was never played may have any p, so a pool far larger than what a run plays is explored more than it is used.
"""

from __future__ import annotations

import statistics
from typing import TYPE_CHECKING, Any, ClassVar

import numpy as np
from pydantic import Field

from envserver.schema import Task
from trainers.algorithms.base import Algorithm, AlgorithmConfig, Group, Metrics
from trainers.algorithms.grpo import GrpoConfig

if TYPE_CHECKING:
    from trainers.tasks import TaskPool

__all__ = ["Vade"]


class VadeConfig(GrpoConfig):
    """VADE's settings."""

    name: str = "vade"
    """The algorithm's registry name."""
    prior_solved: float = Field(1.0, gt=0)
    """Episodes that a task counts as having solved before it is played."""
    prior_failed: float = Field(1.0, gt=0)
    """Episodes that a task counts as having failed before it is played."""
    keep: float = Field(0.5, ge=0, le=1)
    """What a task's earlier episodes weigh when its next group comes in."""
    drift: float = Field(0.98, ge=0, le=1)
    """What every task's episodes weigh after each step, as the policy has moved."""


class Vade(Algorithm):
    """Plays the tasks that may teach most."""

    Config: ClassVar[type[AlgorithmConfig]] = VadeConfig
    config: VadeConfig

    def __init__(self, config: AlgorithmConfig, pool: TaskPool) -> None:
        super().__init__(config, pool)
        self._evidence: dict[str, tuple[float, float]] = {}
        """Episodes solved and failed, by task; the prior is not in it."""
        self._chosen: list[float] = []
        """Expected utility of the step's tasks, when they were chosen."""

    def choose(self, n: int) -> list[Task]:
        """The n tasks with the greatest p (1 - p)^2 of one draw; a step begins."""
        drift = self.config.drift
        self._evidence = {key: (drift * won, drift * lost) for key, (won, lost) in self._evidence.items()}
        self._chosen = []
        return self.replace(n)

    def replace(self, n: int) -> list[Task]:
        """The same of another draw."""
        posteriors = np.array([self.posterior(key) for key in self.pool.keys])
        p = np.random.default_rng(self.pool.rng().getrandbits(64)).beta(posteriors[:, 0], posteriors[:, 1])
        order = np.argsort(-p * (1 - p) ** 2, kind="stable")
        keys = [self.pool.keys[order[place % len(order)]] for place in range(n)]
        self._chosen += [self.utility(key) for key in keys]
        return [self.pool.task(key) for key in keys]

    def posterior(self, key: str) -> tuple[float, float]:
        """The two parameters of a task's Beta."""
        won, lost = self._evidence.get(key, (0.0, 0.0))
        return self.config.prior_solved + won, self.config.prior_failed + lost

    def utility(self, key: str) -> float:
        """E[p (1 - p)^2] = a b (b + 1) / (s (s + 1) (s + 2)) with s = a + b."""
        a, b = self.posterior(key)
        return a * b * (b + 1) / ((a + b) * (a + b + 1) * (a + b + 2))

    def observe(self, group: Group) -> None:
        """Take in how a group went: here its episodes' success counts, not their return."""
        super().observe(group)
        solved, keep = sum(episode.success for episode in group.episodes), self.config.keep
        won, lost = self._evidence.get(group.task.key, (0.0, 0.0))
        self._evidence[group.task.key] = (keep * won + solved, keep * lost + len(group.episodes) - solved)

    def report(self) -> Metrics:
        """How much the step's tasks were expected to teach."""
        return {"task/value": statistics.fmean(self._chosen)} if self._chosen else {}

    def state_dict(self) -> dict[str, Any]:
        """The evidence."""
        return {"evidence": {key: list(pair) for key, pair in self._evidence.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; one of another algorithm has nothing to say."""
        self._evidence = {key: (won, lost) for key, (won, lost) in state.get("evidence", {}).items()}
