"""Null: a world that does nothing, to measure everything around worlds.

Every step shows the same 785 bytes and 20 choices, whatever is played; only the step limit ends it. The Observation is
made once; each step makes and encodes a StepResult around it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Self

from pydantic import Field

from envserver.core import Env, EnvConfig, cut
from envserver.schema import Action, Observation, StepResult, Task

__all__ = ["Null"]

SEEN = Observation(
    text=("You are in a room that is the same as every other room. " * 15)[:785],
    choices=[f"go to room {number} and look around" for number in range(20)],
)
KEYS = {"train": ("null/train/0",), "valid": ("null/valid/0",), "test": ("null/test/0",)}


class NullConfig(EnvConfig):
    """Options of null."""

    max_steps: int = Field(default=1_000_000_000, ge=1)
    """Steps after which the episode is cut."""


class Null(Env):
    """Nothing happens here, quickly: for measuring transport."""

    Config: ClassVar[type[EnvConfig]] = NullConfig
    config: NullConfig
    instructions: ClassVar[str] = "Nothing you do changes anything."
    weight = "trivial"

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        return KEYS[split]

    def reset(self, task: Task) -> StepResult:
        if not any(task.key in keys for keys in KEYS.values()):
            raise KeyError(f"null has no key '{task.key[:80]}'; there is one a split, such as null/train/0")
        self.steps = 0
        return StepResult(observation=SEEN)

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        if self.steps >= self.config.max_steps:
            return cut("The steps are used up.")
        return StepResult(observation=SEEN)

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.steps = self.steps
        return twin
