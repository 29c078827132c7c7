"""Worlds that misbehave, for tests."""

from __future__ import annotations

import itertools
import os
import random
import time
from collections.abc import Sequence

from envserver import Action, Briefing, Env, EnvConfig, StepResult, Task, ToolSpec, going, won

__all__: list[str] = []


class _World(Env):
    """Counts its steps."""

    instructions = "Say a number."
    splits = ("train", "test")

    class Config(EnvConfig):
        goal: int = 5
        """Steps until the task is solved."""
        size: int = 3
        """Tasks of a split."""
        brief: str = ""
        """The episode's own instructions; `raise` fails."""

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        if split not in cls.splits:
            raise KeyError(split)
        assert isinstance(config, cls.Config)
        return [f"{split}/{number}" for number in range(config.size)]

    def reset(self, task: Task) -> StepResult:
        split = task.key.partition("/")[0]
        if split not in self.splits or task.key not in self.tasks(self.config, split):
            raise KeyError(task.key)
        self.key = task.key
        self.seed = task.seed
        self.steps = 0
        self.said: list[str] = []
        return going(f"{self.key} seed {self.seed}", choices=["1", "2"])

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        self.said.append(action.text[:32])
        text = f"{self.key} {self.seed} {'/'.join(self.said)}"
        assert isinstance(self.config, self.Config)
        return won(text) if self.steps >= self.config.goal else going(text, reward=0.5, choices=["1", "2"])

    def briefing(self) -> Briefing | None:
        assert isinstance(self.config, self.Config)
        if self.config.brief == "raise":
            raise ValueError("no words")
        tool = ToolSpec(name="say", description=self.config.brief, parameters={"type": "object"})
        return Briefing(self.config.brief, [tool]) if self.config.brief else None

    def expert(self) -> Action | None:
        return Action(text=str(self.steps))


class Counter(_World):
    """Counts its steps in a worker."""


class Trivial(_World):
    """Counts its steps in the server."""

    weight = "trivial"


class Copyable(_World):
    """Counts its steps and can be copied."""

    def copy(self) -> Copyable:
        twin = Copyable(self.config)
        twin.key, twin.seed, twin.steps, twin.said = self.key, self.seed, self.steps, [*self.said]
        return twin


class Wild(_World):
    """Does what it is told, good or bad."""

    hoard: list[bytes] = []

    def step(self, action: Action) -> StepResult:
        match action.text.split():
            case ["sleep", seconds]:
                time.sleep(float(seconds))
            case ["exit"]:
                os._exit(3)
            case ["abort"]:
                os.abort()
            case ["raise"]:
                raise RuntimeError("told to")
            case ["grow", mebibytes]:
                self.hoard.append(os.urandom(int(mebibytes) << 20))
            case ["nan"]:
                return going("nan", reward=float("nan"))
        return super().step(action)


class Random(_World):
    """Is honest about being random."""

    deterministic = False

    def step(self, action: Action) -> StepResult:
        return super().step(action).model_copy(update={"reward": random.random()})


class Liar(_World):
    """Claims to be deterministic and is not."""

    ticks = itertools.count()

    def step(self, action: Action) -> StepResult:
        return going(f"{os.getpid()} {next(self.ticks)}")


class Null(Env):
    """Costs nothing: 785 bytes and 20 choices."""

    weight = "trivial"
    result = going("x" * 785, choices=[f"take object {number}" for number in range(20)])

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        return ["0"]

    def reset(self, task: Task) -> StepResult:
        return self.result

    def step(self, action: Action) -> StepResult:
        return self.result
