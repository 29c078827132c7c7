"""Kernel: write a faster `ModelNew` for a PyTorch `Model`, in the manner of KernelBench and KernelGYM.

An action is an answer with one code block, or a call of the tool `submit`. It is read, compiled, run against the
reference on inputs it has never seen, timed, and looked at with its kernels taken out; what was found is the next
observation. A key such as `suite/level2/scale_clamp_silu_sum` names a problem; the task's seed adds nothing. An
attempt's reward is C + C * min(speedup, 3), where C is 1 for what is correct and no decoy (arXiv 2602.05885, Eq. 1),
else 0; where nothing is timed it is C.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import ClassVar, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from envserver.core import Briefing, Env, EnvConfig, going
from envserver.envs._kernel import problems
from envserver.envs._kernel.evaluate import Language, Plan, evaluate, missing, prepare
from envserver.envs._kernel.kernelbench import bench_names, bench_problem
from envserver.envs._kernel.problems import Device
from envserver.envs._kernel.tolerances import TOLERANCES
from envserver.envs._kernel.verdict import KINDS, Verdict
from envserver.envs._kernel.words import CONTRACTS
from envserver.sandboxes.base import DEFAULT
from envserver.schema import Action, Observation, StepResult, Task, ToolSpec

__all__ = ["Kernel"]

INFRA = ("reference", "unavailable")
SUBMIT = ToolSpec(
    name="submit",
    description="Have an implementation compiled, checked and timed.",
    parameters={
        "type": "object",
        "properties": {"code": {"type": "string", "description": "Python source that defines ModelNew."}},
        "required": ["code"],
    },
)


class KernelConfig(EnvConfig):
    """Options of kernel."""

    servers_own: ClassVar[tuple[str, ...]] = (
        "kernelbench_dir",
        "device",
        "threads",
        "sandbox",
        "memory_bytes",
        "compile_s",
        "total_s",
    )

    source: Literal["suite", "kernelbench"] = "suite"
    """What is listed: our suite, or the problems in `kernelbench_dir`, all of them in the split `test`."""
    kernelbench_dir: Path | None = Field(default=None, validate_default=True)
    """KernelBench's directory. Only the server may set it."""
    language: Language = "cpp"
    """What kernels are written in: `cpp` and `cuda` as a plain C ABI, `triton`, `numba`, or `torch` alone."""
    attempts: int = Field(default=3, ge=1, le=100)
    """Submissions of an episode."""
    reward: Literal["attempt", "best"] = "attempt"
    """`attempt`: each submission's own. `best`: what it adds to the best so far, so that an episode's sum is its
    best."""
    speedup_cap: float = Field(default=3.0, gt=0)
    """Speed-up above which more earns nothing."""
    target: float = Field(default=1.0, ge=0)
    """Speed-up that the best submission has to have, at the lower end of its interval, for the episode to be a
    success."""
    trials: int = Field(default=4, ge=1, le=20)
    """Calls with usual inputs that are compared; two with inputs of another distribution come on top."""
    rounds: int = Field(default=15, ge=3, le=200)
    """Paired rounds that are timed."""
    tolerances: dict[str, float] = {}
    """dtype -> how far an output may be off, beside or in place of the defaults."""
    device: Device = "cpu"
    """Only the server may set it."""
    threads: int = Field(default=1, ge=1, le=256)
    """Cores of a call on a CPU. Only the server may set it."""
    sandbox: Literal["namespace", "landlock"] = DEFAULT  # type: ignore[assignment]
    """The walls of compilers and stages. Only the server may set it."""
    memory_bytes: int = Field(default=2 << 30, ge=256 << 20)
    """Memory of a submission. Only the server may set it."""
    compile_s: float = Field(default=10.0, gt=0)
    """Time of a compiler; `load_inline` needs a hundred seconds the first time. Only the server may set it."""
    call_s: float = Field(default=5.0, gt=0, le=60)
    """Time of one call."""
    total_s: float = Field(default=18.0, gt=0)
    """Time of one evaluation after compiling; with `compile_s` less than the server's `call_timeout_s`. Only the
    server may set it."""

    @field_validator("kernelbench_dir")
    @classmethod
    def _is_needed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("source") == "kernelbench":
            raise ValueError("source 'kernelbench' needs the server's directory of KernelBench")
        return value


class Kernel(Env):
    """Make a PyTorch module faster with a kernel of your own; what is found of it is told, and you try again."""

    Config: ClassVar[type[EnvConfig]] = KernelConfig
    config: KernelConfig
    instructions: ClassVar[str] = (
        "Write a class ModelNew that gives what the reference's Model gives, faster, by kernels of your own. "
        "Each answer holds one code block; it is compiled, checked and timed, and you are told what was found."
    )
    tools: ClassVar[tuple[ToolSpec, ...]] = (SUBMIT,)
    deterministic: ClassVar[bool] = False

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        if importlib.util.find_spec("torch") is None:
            raise ImportError("kernel needs its extra: pip install 'turnhalle[kernel]'")

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, KernelConfig)
        listed = problems.names(split)
        if config.source == "suite" or config.kernelbench_dir is None:
            return listed
        return bench_names(config.kernelbench_dir) if split == "test" else ()

    def reset(self, task: Task) -> StepResult:
        config = self.config
        self.plan = Plan(
            language=config.language,
            device=config.device,
            threads=config.threads,
            trials=config.trials,
            rounds=config.rounds,
            tolerances=TOLERANCES | config.tolerances,
            compile_s=config.compile_s,
            call_s=config.call_s,
            total_s=config.total_s,
            memory_bytes=config.memory_bytes,
            sandbox=config.sandbox,
        )
        if why := missing(self.plan):
            raise RuntimeError(why)
        prepare(self.plan)
        self.problem = self._problem(task.key)
        self.verdicts: list[Verdict] = []
        self.best: tuple[float, int] = (0.0, -1)
        """The highest score, and the attempt that has it."""
        return going(f"{self.problem.summary}\n\n```python\n{self.problem.source}```".lstrip())

    def briefing(self) -> Briefing:
        return Briefing(
            f"{self.instructions} You have {self._attempts()}.\n\n{CONTRACTS[self.config.language]}", self.tools
        )

    def step(self, action: Action) -> StepResult:
        verdict = evaluate(self.problem.source, _answer(action), self.plan)
        if verdict.error_kind in INFRA:
            raise RuntimeError(f"{KINDS[verdict.error_kind]}: {verdict.message}")
        score, before = self._score(verdict), self.best[0]
        if score > before:
            self.best = score, len(self.verdicts)
        self.verdicts.append(verdict)
        reward = score if self.config.reward == "attempt" else max(0.0, score - before)
        over = len(self.verdicts) >= self.config.attempts
        return StepResult(
            observation=Observation(text=self._told(verdict)),
            reward=reward,
            terminated=over,
            success=self._solved() if over else None,
            measured=verdict.measured,
            info=self._info(verdict),
        )

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        twin.verdicts = list(self.verdicts)
        return twin

    def expert(self) -> Action | None:
        code = problems.gold(self.problem.key)
        if code is None or self.config.language != "cpp":
            return None
        return Action(text=f"```python\n{code}```")

    def _problem(self, key: str) -> problems.Problem:
        if not key.startswith("kernelbench/"):
            return problems.problem(key, self.config.device)
        if self.config.kernelbench_dir is None:
            raise KeyError("this server has no KernelBench; serve kernel with kernelbench_dir set")
        return bench_problem(self.config.kernelbench_dir, key, self.plan)

    def _score(self, verdict: Verdict) -> float:
        if not verdict.good:
            return 0.0
        return 1.0 + min(verdict.speedup or 0.0, self.config.speedup_cap)

    def _solved(self) -> bool:
        if self.best[1] < 0:
            return False
        best = self.verdicts[self.best[1]]
        return not self.plan.timed or (best.speedup_low or 0.0) >= self.config.target

    def _attempts(self) -> str:
        return f"{self.config.attempts} attempts" if self.config.attempts > 1 else "one attempt"

    def _told(self, verdict: Verdict) -> str:
        """The observation after an attempt."""
        head = f"Attempt {len(self.verdicts)} of {self.config.attempts}"
        what = f" ({verdict.error_kind}): {KINDS[verdict.error_kind]}." if verdict.error_kind else ":"
        lines = [f"{head}{what} {verdict.message}".strip()]
        at = self.best[1]
        if at >= 0 and at != len(self.verdicts) - 1:
            best = self.verdicts[at]
            speed = f", {best.speedup:.2f} times as fast as the reference" if best.speedup is not None else ""
            lines.append(f"The best so far is attempt {at + 1}{speed}.")
        return "\n".join(lines)

    def _info(self, verdict: Verdict) -> dict[str, JsonValue]:
        best = self.verdicts[self.best[1]] if self.best[1] >= 0 else None
        return _short(verdict) | {"best": _short(best) if best else None, "best_attempt": self.best[1] + 1 or None}


def _answer(action: Action) -> str:
    """What is to be read for a submission."""
    if action.tool is None:
        return action.text
    code = action.arguments.get("code")
    if action.tool != SUBMIT.name or not isinstance(code, str):
        return ""
    return code if "```" in code else f"```python\n{code}\n```"


def _short(verdict: Verdict) -> dict[str, JsonValue]:
    kept = ("error_kind", "compiled", "correct", "decoy", "speedup", "speedup_low", "speedup_high", "noise", "coverage")
    return {name: value for name, value in asdict(verdict).items() if name in kept}
