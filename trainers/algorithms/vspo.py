"""VSPO: Value-based Sampling Policy Optimization (arXiv 2512.07478).

    V(x) = (R_max - mu(x)) sigma(x)                 mu, sigma: mean and spread of the returns task x has had
    a group with sigma = 0 is replaced by one of a task drawn with probability V(x) / sum V
    A_i  = f(k) (R_i - mean(R)) / (std(R) + 1e-6)   f(k) = damping^(k - 1) on the k-th draw of x by value in a window
    loss = GRPO's, with clip 0.2 and 0.001 KL

The paper's, as far as it is known: V; that samples without advantage are replaced by prompts sampled by V; that the
advantages of prompts that are drawn again and again decay, so that they do not dominate; the constants of the loss.
Ours: f, its window, and that a task drawn in its turn has factor 1; a replacement is played anew; sigma is the standard
deviation (`spread = "variance"`: its square); mu and sigma run over all of a task's visits, the last ones weighing
most; a step replaces its groups once; no task replaces another of the same step; where too few tasks have a value, the
next ones in turn are played. A group that is still without spread is not trained on.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from envserver.schema import Task
from skills_db.types import TaskStat
from trainers.algorithms.base import Algorithm, AlgorithmConfig, Group, Metrics, alike
from trainers.algorithms.grpo import GrpoConfig

if TYPE_CHECKING:
    from trainers.tasks import TaskPool

__all__ = ["Vspo"]


class VspoConfig(GrpoConfig):
    """VSPO's settings."""

    name: str = "vspo"
    """The algorithm's registry name."""
    kl: float = Field(0.001, ge=0)
    """Weight of the k3 estimate of KL(policy || reference) in the loss; 0 keeps no reference model."""
    max_draws: int = Field(2, ge=1)
    """Times at most that tasks are drawn in a step: all but the first replace groups without spread, by value."""
    max_return: float = 1.0
    """R_max: the greatest return a task can have, after the shapers."""
    spread: Literal["std", "variance"] = "std"
    """What sigma is."""
    keep: float = Field(0.5, ge=0, le=1)
    """Weight of a task's earlier returns against those of its next group; 1 forgets nothing, 0 knows the last group."""
    damping: float = Field(0.8, ge=0, le=1)
    """f: factor on the advantages of a task for each further draw by value within the window; 1 damps nothing."""
    window_steps: int = Field(10, ge=1)
    """Steps in which draws by value count as repeats, this one included."""


class Vspo(Algorithm):
    """Slots without a signal go to the tasks that promise most."""

    Config: ClassVar[type[AlgorithmConfig]] = VspoConfig
    config: VspoConfig

    def __init__(self, config: AlgorithmConfig, pool: TaskPool) -> None:
        super().__init__(config, pool)
        self._step = 0
        self._drawn: dict[str, list[int]] = {}
        """Steps of the window in which a task was drawn by value."""
        self._here: set[str] = set()
        """Tasks of this step."""
        self._values: list[float] = []
        """Of the tasks drawn by value in this step, when they were drawn."""

    def choose(self, n: int) -> list[Task]:
        """The next n tasks in turn; a step begins."""
        self._step += 1
        since = self._step - self.config.window_steps
        recent = {key: [step for step in steps if step > since] for key, steps in self._drawn.items()}
        self._drawn = {key: steps for key, steps in recent.items() if steps}
        self._values = []
        tasks = super().choose(n)
        self._here = {task.key for task in tasks}
        return tasks

    def replace(self, n: int) -> list[Task]:
        """n tasks drawn by value; the next ones in turn where fewer have any."""
        values = {stat.key: self.value(stat) for stat in self.pool.seen() if stat.key not in self._here}
        chosen = self.pool.weighted(n, values)
        for task in chosen:
            self._values.append(values[task.key])
            self._drawn.setdefault(task.key, []).append(self._step)
        tasks = [*chosen, *self.pool.draw(n - len(chosen))]
        self._here |= {task.key for task in tasks}
        return tasks

    def value(self, stat: TaskStat) -> float:
        """V: how much a task still has to give, times how much its episodes differ."""
        spread = stat.variance if self.config.spread == "variance" else stat.variance**0.5
        return max(self.config.max_return - stat.mean, 0.0) * spread

    def factor(self, key: str) -> float:
        """f: 1 for a task that was not drawn by value in this step."""
        steps = self._drawn.get(key, [])
        return self.config.damping ** (len(steps) - 1) if self._step in steps else 1.0

    def observe(self, group: Group) -> None:
        """Take in how a group went."""
        self.pool.observe(group.task, group.returns, keep=self.config.keep)

    def admit(self, group: Group) -> bool:
        """Whether the returns of the group differ."""
        return not alike(group.returns)

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: GRPO's, damped where a task was drawn by value again."""
        factors = [self.factor(group.task.key) for group in groups]
        found = super().advantages(groups)
        return [
            [[factor * value for value in row] for row in rows] for factor, rows in zip(factors, found, strict=True)
        ]

    def report(self) -> Metrics:
        """What was drawn by value, and how much there is to draw from."""
        found: Metrics = {
            "task/valued": len(self._values),
            "task/open": sum(self.value(stat) > 0 for stat in self.pool.seen()),
        }
        if self._values:
            found["task/value"] = statistics.fmean(self._values)
            factors = [self.factor(key) for key, steps in self._drawn.items() if self._step in steps]
            found["task/damping"] = statistics.fmean(factors)
        return found

    def state_dict(self) -> dict[str, Any]:
        """The step, and the draws of the window."""
        return {"step": self._step, "drawn": {key: list(steps) for key, steps in self._drawn.items()}}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`; one of another algorithm has nothing to say."""
        self._step = state.get("step", 0)
        self._drawn = {key: list(steps) for key, steps in state.get("drawn", {}).items()}
