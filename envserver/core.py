"""What a world is: four methods, synchronous, single-use.

An Env is built, reset once, stepped until a result is `over`, and closed. It gives raw reward and knows no tags of any
answer format. The same `(task, actions)` gives the same results, byte for byte, unless it says `deterministic = False`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import ClassVar, Literal, NamedTuple, Self

from pydantic import BaseModel, ConfigDict, JsonValue

from envserver.schema import Action, Observation, StepResult, Task, ToolSpec

__all__ = ["Briefing", "Env", "EnvConfig", "Making", "cut", "going", "lost", "won"]


class EnvConfig(BaseModel):
    """Settings of an environment; `Task.options` overrides them for one episode."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)
    servers_own: ClassVar[tuple[str, ...]] = ()
    """Options about the server's machine, such as a directory: a client may repeat the server's value, not choose."""


class Making(NamedTuple):
    """Something that a task needs and that is not there yet, such as a game on disk."""

    name: str
    """Two tasks of an environment that name the same need the same."""
    make: Callable[[], object]
    """Makes it. What it raises is told to whoever opens the task."""


class Briefing(NamedTuple):
    """What a player is told before the first step."""

    instructions: str
    tools: Sequence[ToolSpec] = ()


class Env(ABC):
    """One episode of one task."""

    Config: ClassVar[type[EnvConfig]] = EnvConfig
    instructions: ClassVar[str] = ""
    """What can be done here; never how an answer is formatted."""
    tools: ClassVar[tuple[ToolSpec, ...]] = ()
    splits: ClassVar[tuple[str, ...]] = ("train", "valid", "test")
    deterministic: ClassVar[bool] = True
    """False: never restored by replay; losing its worker is a typed infra failure."""
    weight: ClassVar[Literal["trivial", "worker"]] = "worker"
    """`trivial`: well under 0.1 ms a call, no native library, nothing that can hang; it may live in the server."""

    def __init__(self, config: EnvConfig) -> None:
        self.config = config

    @classmethod  # noqa: B027
    def warm(cls, config: EnvConfig) -> None:
        """Import and load what every episode needs; called once in the template that workers are forked from."""

    @classmethod
    def making(cls, config: EnvConfig, task: Task) -> Making | None:
        """What `reset` would spend seconds on making; None where it is there.

        The server asks this in a process of its own, makes the answer in a child forked from that, and opens the task
        then, so that no other episode of a worker waits. `reset` still makes what it does not find.
        """
        return None

    @classmethod
    @abstractmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        """Task keys of a split, in a stable order, lazily where there are many.

        Raises KeyError for a split the environment does not have.
        """

    @abstractmethod
    def reset(self, task: Task) -> StepResult:
        """Begin the episode; called once. Raises KeyError for a key the environment does not have."""

    @abstractmethod
    def step(self, action: Action) -> StepResult:
        """Play one action. Nonsense costs a step and is answered; it is no error."""

    def briefing(self) -> Briefing | None:
        """This episode's own instructions and tools, asked for once after `reset`; None: they are the class's."""
        return None

    def close(self) -> None:  # noqa: B027
        """Let go of everything; safe to call twice."""

    def copy(self) -> Self:
        """An independent episode in the same state: the fast path of fork.

        Raises NotImplementedError where there is none; the session then forks by replay.
        """
        raise NotImplementedError

    def expert(self) -> Action | None:
        """The expert's next action from this state; None where there is no expert or nothing is left to do."""
        return None


def going(text: str, *, reward: float = 0.0, choices: Sequence[str] = (), **info: JsonValue) -> StepResult:
    """The episode goes on."""
    return StepResult(observation=Observation(text=text, choices=list(choices)), reward=reward, info=info)


def won(text: str, *, reward: float = 1.0, **info: JsonValue) -> StepResult:
    """The task is solved."""
    return StepResult(observation=Observation(text=text), reward=reward, terminated=True, success=True, info=info)


def lost(text: str, *, reward: float = 0.0, **info: JsonValue) -> StepResult:
    """The task ended without being solved."""
    return StepResult(observation=Observation(text=text), reward=reward, terminated=True, success=False, info=info)


def cut(text: str, *, reward: float = 0.0, **info: JsonValue) -> StepResult:
    """A limit ended the episode; the task is not solved."""
    return StepResult(observation=Observation(text=text), reward=reward, truncated=True, success=False, info=info)
