"""Does an Env keep the rules? `envserver check NAME`, our tests, third parties' tests."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass
from itertools import chain

from envserver.core import Env, EnvConfig
from envserver.rules import RULES, Rule
from envserver.schema import Task
from envserver.trial import Trial, World

__all__ = ["Finding", "check"]


@dataclass(frozen=True)
class Finding:
    """One rule that an environment breaks."""

    rule: str
    says: str
    """The rule, in a sentence."""
    detail: str
    """What was seen instead."""
    key: str = ""
    """The task it was seen on; empty where the rule is not about one task."""


def check(
    env_class: type[Env],
    config: EnvConfig | None = None,
    *,
    tasks_per_split: int = 2,
    steps: int = 30,
    seed: int = 0,
    on_rule: Callable[[Rule, list[Finding]], None] | None = None,
) -> list[Finding]:
    """Every rule tried on `tasks_per_split` tasks of each split, at most `steps` actions each; what is broken.

    `seed` draws tasks and actions; `on_rule` hears of each rule once it has been tried. What the environment's code
    raises is a finding. Raises ValueError where nothing would be tried.
    """
    if tasks_per_split < 1 or steps < 1:
        raise ValueError(
            f"nothing is tried with {tasks_per_split} tasks a split and {steps} steps; use at least 1 of each"
        )
    world = World(env_class, config or env_class.Config(), seed)
    world.trials += _trials(world, tasks_per_split, steps)
    findings: list[Finding] = []
    for rule in RULES:
        found: list[Finding] = []
        subjects: list[tuple[World | Trial, str]] = [(world, "")]
        if rule.per_task:
            subjects = [(trial, trial.task.key) for trial in world.trials]
        for subject, key in subjects:
            try:
                found += [Finding(rule.name, rule.says, detail, key) for detail in rule.trial(subject)]
            except Exception as error:
                detail = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:200]}"
                found.append(Finding(rule.name, rule.says, f"it raised {detail}", key))
        if on_rule is not None:
            on_rule(rule, found)
        findings += found
    return findings


def _trials(world: World, tasks_per_split: int, steps: int) -> list[Trial]:
    """Tasks drawn from every split that can be listed; a split that cannot breaks its own rule."""
    rng = random.Random(world.seed)
    drawn = []
    for split in world.env_class.splits:
        try:
            keys = world.env_class.tasks(world.config, split)
            drawn.append([keys[index] for index in rng.sample(range(len(keys)), min(tasks_per_split, len(keys)))])
        except Exception:
            continue
    name = world.env_class.__module__.rpartition(".")[2]
    tasks = [Task(env=name, key=key, seed=rng.randrange(3)) for key in chain.from_iterable(drawn)]
    return [
        Trial(
            world.env_class, world.config, task, steps, random.Random(rng.random()), [*tasks[:at], *tasks[at + 1 :]][:2]
        )
        for at, task in enumerate(tasks)
    ]
