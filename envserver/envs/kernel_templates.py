"""Kernel templates: make a small PyTorch module faster by naming a kernel's template in three words.

The world `kernel` for policies that cannot write code yet: an action such as `fused rows fast` is made into C++, and
that is compiled, checked, timed and looked at by the same evaluator, with the same reward. Some templates are wrong for
some sizes, some are slow, a lazy one leaves the work to torch, and a decoy does nothing. A key such as
`gate/256x512/07` names a problem and its size; its last number tells the expert's tries apart and nothing else. A
verdict is kept: the same template for the same problem and size is judged once on a machine.
"""

from __future__ import annotations

import random
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal, Self

from pydantic import Field

from envserver.core import Briefing, Env, EnvConfig, going
from envserver.envs._kernel.evaluate import Plan, missing, prepare
from envserver.envs._kernel.kept import kept
from envserver.envs._kernel.templates import (
    BODIES,
    MANNERS,
    ORDERS,
    PROBLEMS,
    Template,
    reference,
    submission,
    template,
)
from envserver.envs._kernel.verdict import KINDS, Verdict
from envserver.schema import Action, Observation, StepResult, Task

__all__ = ["KernelTemplates"]

SIZES = {
    "train": ((256, 512), (250, 500)),
    "valid": ((240, 384), (200, 300)),
    "test": ((320, 400), (210, 480)),
}
"""Rows and columns of the problems of a split: of each kind, what suits every template and what does not."""
KEY = re.compile(r"([a-z_]{1,20})/([1-9][0-9]{1,3})x([1-9][0-9]{1,3})/([0-9]{2})")
NUMBERS = 100
PLAN = Plan(trials=2, rounds=9, timing_s=1.5)
MOST = 1024
"""Rows or columns at most."""


class KernelTemplatesConfig(EnvConfig):
    """Options of kernel_templates."""

    servers_own: ClassVar[tuple[str, ...]] = ("sandbox",)

    attempts: int = Field(default=3, ge=1, le=100)
    """Templates that may be tried in an episode."""
    speedup_cap: float = Field(default=3.0, gt=0)
    """Speed-up above which more earns nothing."""
    target: float = Field(default=1.0, ge=0)
    """Speed-up that the best attempt has to have, at the lower end of its interval, for the episode to be a success."""
    sandbox: Literal["namespace", "landlock"] = "namespace"
    """The walls of compilers and stages. Only the server may set it."""


class KernelTemplates(Env):
    """Make a small PyTorch module faster by naming a kernel's template in three words."""

    Config: ClassVar[type[EnvConfig]] = KernelTemplatesConfig
    config: KernelTemplatesConfig
    instructions: ClassVar[str] = (
        f"Name a kernel in three words: {', '.join(BODIES)}; {', '.join(ORDERS)}; {', '.join(MANNERS)}."
    )
    deterministic: ClassVar[bool] = False

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        if why := missing(Plan()):
            raise ImportError(f"{why}; kernel_templates needs the extra: pip install 'turnhalle[kernel]', and g++")

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        if split not in SIZES:
            raise KeyError(f"kernel_templates has no split '{split[:40]}'; there are: {', '.join(SIZES)}")
        return [
            f"{name}/{rows}x{cols}/{number:02d}"
            for number in range(NUMBERS)
            for rows, cols in SIZES[split]
            for name in PROBLEMS
        ]

    def reset(self, task: Task) -> StepResult:
        match = KEY.fullmatch(task.key)
        if match is None or match[1] not in PROBLEMS or max(int(match[2]), int(match[3])) > MOST:
            raise KeyError(f"kernel_templates has no key '{task.key[:80]}'; keys look like gate/256x512/07")
        self.task = task
        self.name, rows, cols = match[1], int(match[2]), int(match[3])
        self.source = reference(self.name, rows, cols)
        self.plan = replace(PLAN, sandbox=self.config.sandbox)
        prepare(self.plan)
        self.tried = 0
        self.best = 0.0
        """The lower end of the best attempt's speed-up."""
        return going(f"{self.name}: {_size(rows)} rows, {_size(cols)} columns.")

    def briefing(self) -> Briefing:
        return Briefing(f"{self.instructions} You have {self.config.attempts} attempts.")

    def step(self, action: Action) -> StepResult:
        chosen = template(action.text) if action.tool is None and len(action.text) < 100 else None
        verdict = self._judged(chosen) if chosen is not None else Verdict("no_code")
        self.tried += 1
        self.best = max(self.best, (verdict.speedup_low or 0.0) if verdict.good else 0.0)
        over = self.tried >= self.config.attempts
        return StepResult(
            observation=Observation(text=f"Attempt {self.tried} of {self.config.attempts}: {_told(chosen, verdict)}."),
            reward=1 + min(verdict.speedup or 0.0, self.config.speedup_cap) if verdict.good else 0.0,
            terminated=over,
            success=self.best >= self.config.target if over else None,
            measured=verdict.measured,
            info={"error_kind": verdict.error_kind, "speedup": verdict.speedup, "coverage": verdict.coverage},
        )

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        return twin

    def expert(self) -> Action | None:
        """Templates at random, and in the last attempt a sound one: it shows how one answers."""
        if self.tried == self.config.attempts - 1:
            return Action(text=PROBLEMS[self.name].sound)
        rng = random.Random(f"{self.task.key}#{self.task.seed}#{self.tried}")
        return Action(text=" ".join(rng.choice(words) for words in (BODIES, ORDERS, MANNERS)))

    def _judged(self, chosen: Template) -> Verdict:
        verdict = kept(self.source, f"```python\n{submission(self.name, chosen)}```", self.plan)
        if verdict.error_kind in ("reference", "unavailable"):
            raise RuntimeError(f"{KINDS[verdict.error_kind]}: {verdict.message}")
        return verdict


def _size(number: int) -> str:
    """A size with the multiples that templates want."""
    for divisor in (16, 8):
        if number % divisor == 0:
            return f"{number} (of {divisor})"
    return f"{number} (odd)"


def _told(chosen: Template | None, verdict: Verdict) -> str:
    if chosen is None:
        return "there is no such template"
    if not verdict.good:
        return f"wrong, {verdict.error_kind}"
    share = f", {100 * verdict.coverage:.0f} % in its kernels" if verdict.coverage is not None else ""
    return f"right, {verdict.speedup or 0:.1f} times as fast{share}"
