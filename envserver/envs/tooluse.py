"""Tooluse: small stateful programs that are reached only by typed tools, in the manner of CodeGym (arXiv 2509.17325).

A key such as `inventory/h12-d1/train/0042` names a family, the calls of the gold plan, a difficulty, a split and a
number; the task's seed draws another program under the same key. What is hidden is learned a call at a time, and the
last call, `done`, answers and ends the episode: so what has to be read grows with h, and what has to be remembered
stays short. CodeGym's environments are translated from code problems; these families, levels and rewards are ours.
CodeGym's own published files are played too, where the server has them: their code runs in a sandbox alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from envserver.calls import signature
from envserver.core import Briefing, Env, EnvConfig, cut, going, lost, won
from envserver.envs._tooluse.codegym import Folder, folder
from envserver.envs._tooluse.foreign import Foreign
from envserver.envs._tooluse.keys import CALLS, LEVELS, drawn, families, family, parse
from envserver.envs._tooluse.program import Program
from envserver.numbered import MixedKeys, weighed
from envserver.sandboxes.base import DEFAULT
from envserver.schema import Action, StepResult, Task

__all__ = ["Tooluse"]


class TooluseConfig(EnvConfig):
    """Options of tooluse."""

    servers_own: ClassVar[tuple[str, ...]] = ("codegym_dir", "sandbox")

    source: Literal["generated", "codegym"] = "generated"
    """What is listed: programs of the families, or the tasks in `codegym_dir`."""
    families: dict[str, int] = {}
    """Which families are listed, each with its weight; none given: all, alike."""
    horizon: int = Field(default=12, ge=CALLS[0], le=CALLS[1])
    """Calls of the gold plan, `done` included, in the tasks that are listed; one less where calls come in pairs."""
    difficulty: int = Field(default=1, ge=1, le=LEVELS)
    """What has to be made of what is read, in the tasks that are listed."""
    max_steps: int | None = Field(default=None, ge=1, le=10_000)
    """Calls after which the episode is cut. None: twice the key's h; of CodeGym's twice the solution, at least 20."""
    reward: Literal["binary", "dense"] = "binary"
    """`binary`: 1 for solving it. `dense`: the calls that bring the gold plan nearer to its end than it has been share
    one half, and solving it brings the sum to 1."""
    describe: bool = False
    """Whether the instructions list the tools, for players whose format does not."""
    codegym_dir: Path | None = Field(default=None, validate_default=True)
    """CodeGym's published files: training instances (`.jsonl`), environments (`.py`). Only the server may set it."""
    sandbox: str = DEFAULT
    """The backend their code runs in. Only the server may set it."""

    @field_validator("codegym_dir")
    @classmethod
    def _is_needed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("source") == "codegym":
            raise ValueError("source 'codegym' needs the server's directory of CodeGym files")
        return value

    @field_validator("families")
    @classmethod
    def _weights(cls, value: dict[str, int]) -> dict[str, int]:
        return weighed(value, families())


class Tooluse(Env):
    """Answer a question about a hidden program, or bring it into a state, by calls of its tools."""

    Config: ClassVar[type[EnvConfig]] = TooluseConfig
    config: TooluseConfig
    instructions: ClassVar[str] = "Call one tool at a time; the last call is done. Each task has tools of its own."
    program: Program

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        for name in families():
            family(name)

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, TooluseConfig)
        if config.source == "codegym":
            return _folder(config).keys(split)
        weights = config.families or dict.fromkeys(families(), 1)
        return MixedKeys(weights, f"h{config.horizon}-d{config.difficulty}", split)

    def reset(self, task: Task) -> StepResult:
        if task.key.startswith("codegym/"):
            foreign = Foreign(_folder(self.config).task(task.key), self.config.sandbox)
            self.program, calls = foreign, max(10, len(foreign.gold))
        else:
            key = parse(task.key)
            self.program, calls = drawn(key, task.seed), key.calls
        self.max_steps = self.config.max_steps or 2 * calls
        self.steps = 0
        self.earned, self.whole, self.best = 0.0, 0, 0
        if self.config.reward == "dense":
            self.whole = self.best = self._left()
        return going(self.program.question)

    def briefing(self) -> Briefing:
        tools = list(self.program.tools.values())
        last = next((tool.name for tool in tools if tool.name.lower() == "done"), tools[-1].name)
        told = [f"{self.program.story} Call one tool at a time; the last call is {last}."]
        if self.config.describe:
            told += map(signature, tools)
        return Briefing("\n".join(told), tools)

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        answer = self._called(action)
        if answer is True:
            return won("Right.", reward=1.0 - self.earned)
        if answer is False:
            return lost("Wrong.")
        reward = self._nearer() if self.config.reward == "dense" else 0.0
        if self.steps >= self.max_steps:
            return cut(f"{answer} No call is left.", reward=reward)
        return going(answer, reward=reward)

    def close(self) -> None:
        if hasattr(self, "program"):
            self.program.close()

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        twin.program = self.program.copy()
        return twin

    def expert(self) -> Action | None:
        call = next(self.program.plan(), None)
        return None if call is None else Action(tool=call[0], arguments=call[1])

    def _called(self, action: Action) -> str | bool:
        """What the tool says; a sentence where nothing could be called."""
        if action.tool is None:
            return f"Call a tool: {', '.join(self.program.tools)}."
        return self.program.call(action.tool, action.arguments)

    def _left(self) -> int:
        """Calls of the gold plan from here; as many as there were where there is none."""
        return sum(1 for _ in self.program.plan()) or self.best

    def _nearer(self) -> float:
        """Reward of the call that was made."""
        gain = max(0, self.best - self._left())
        self.best -= gain
        reward = 0.5 * gain / max(1, self.whole - 1)
        self.earned += reward
        return reward


def _folder(config: TooluseConfig) -> Folder:
    """The server's CodeGym files. Raises KeyError where it has none."""
    if config.codegym_dir is None:
        raise KeyError("this server has no CodeGym files; serve tooluse with codegym_dir set")
    return folder(config.codegym_dir)
