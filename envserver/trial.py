"""One task of an environment, and a way of playing it that is drawn once: what the rules look at."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from envserver.core import Env, EnvConfig
from envserver.schema import Action, StepResult, Task

__all__ = ["Trial", "World", "difference", "dumps", "play"]


@dataclass
class Trial:
    """One task of the environment, and a way of playing it that is drawn once."""

    env_class: type[Env]
    config: EnvConfig
    task: Task
    steps: int
    rng: random.Random
    others: Sequence[Task] = ()
    played: list[Action] | None = None

    @contextmanager
    def opened(self, task: Task | None = None) -> Iterator[tuple[Env, StepResult]]:
        """A fresh episode, closed at the end."""
        env = self.env_class(self.config)
        try:
            yield env, env.reset(task or self.task)
        finally:
            env.close()

    @property
    def actions(self) -> list[Action]:
        """At most `steps` actions up to the end of the episode: mostly choices, some of the expert's, some nonsense."""
        if self.played is None:
            self.played = []
            with self.opened() as (env, result):
                while not result.over and len(self.played) < self.steps:
                    self.played.append(self._draw(env, result))
                    result = env.step(self.played[-1])
        return self.played

    def results(self, task: Task | None = None) -> list[StepResult]:
        """The opening result and one a step, of `actions` in a fresh episode."""
        actions = self.actions
        with self.opened(task) as (env, result):
            return [result, *play(env, result, actions)]

    def _draw(self, env: Env, result: StepResult) -> Action:
        luck = self.rng.random()
        if luck < 0.1:
            return Action(text="xyzzy")
        if luck < 0.4 and (action := env.expert()) is not None:
            return action
        return Action(text=self.rng.choice(result.observation.choices or result.observation.text.split() or [""]))


@dataclass
class World:
    """What class-wide rules look at."""

    env_class: type[Env]
    config: EnvConfig
    seed: int
    trials: list[Trial] = field(default_factory=list)


def play(env: Env, result: StepResult, actions: Sequence[Action]) -> list[StepResult]:
    """Results of `actions` until the episode is over."""
    results: list[StepResult] = []
    for action in actions:
        if result.over:
            break
        result = env.step(action)
        results.append(result)
    return results


def dumps(results: Sequence[StepResult]) -> list[str]:
    """Results as they cross the wire."""
    return [result.model_dump_json() for result in results]


def difference(mine: Sequence[str], theirs: Sequence[str]) -> str:
    """Where two transcripts part, in a sentence; empty where they are equal."""
    for index, (one, other) in enumerate(zip(mine, theirs, strict=False)):
        if one != other:
            at = next(
                (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), min(len(one), len(other))
            )
            around = slice(max(0, at - 30), at + 60)
            return f"result {index} differs: ...{one[around]!r} and ...{other[around]!r}"
    return "" if len(mine) == len(theirs) else f"{len(mine)} results and {len(theirs)}"
