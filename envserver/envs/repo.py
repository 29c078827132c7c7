"""Repo: fix a defect in a small repository, as in SWE-Gym (arXiv 2412.21139); hidden tests judge what is handed in.

A key such as `inventory/n1-k1-r1/train/0042` names a family of Python packages, how many packages, how many defects,
how precise the report is, a split and a number; the task's seed draws another repository under the same key. The
reward is the share of hidden tests that pass (the one that worked in arXiv 2510.01132, section 6), here counted from
what passed before, so doing nothing earns none. Published instances are played too, where the server has their file
and an engine their image.

What the player writes lives in memory; programs see a copy of it in a fresh sandbox for each run. What such a program
prints may hold a clock or a random number; then a session that is restored after a crash is refused, as it is not the
same.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, JsonValue, ValidationInfo, field_validator

from envserver.arguments import refusal
from envserver.calls import signature
from envserver.core import Briefing, Env, EnvConfig, cut, going, lost, won
from envserver.envs._repo.defects import defects
from envserver.envs._repo.instances import Instances, instances
from envserver.envs._repo.keys import DEFECTS, PACKAGES, PARTS, REPORTS, SHARES, families, parse
from envserver.envs._repo.making import make
from envserver.envs._repo.published import published
from envserver.envs._repo.tools import TOOLS
from envserver.envs._repo.tree import Tree
from envserver.envs._repo.work import Judged, Work
from envserver.numbered import MixedKeys, weighed
from envserver.sandboxes.base import DEFAULT, Limits
from envserver.schema import Action, StepResult, Task, ToolSpec

__all__ = ["Repo"]

BY_NAME = {tool.name: tool for tool in TOOLS}
CASES_S = 15.0
"""What all hidden cases of a generated repository get."""


class RepoConfig(EnvConfig):
    """Options of repo."""

    servers_own: ClassVar[tuple[str, ...]] = ("instances_dir", "sandbox", "docker", "judge_timeout_s")

    source: Literal["generated", "instances"] = "generated"
    """What is listed: generated repositories, or the instances in `instances_dir`."""
    families: dict[str, int] = {}
    """Which families are listed, each with its weight; none given: all, alike."""
    packages: int = Field(default=1, ge=1, le=PACKAGES)
    """Packages in a listed repository, of about four modules each."""
    defects: int = Field(default=1, ge=1, le=DEFECTS)
    """Defects in a listed repository, in different functions of one package."""
    report: int = Field(default=1, ge=1, le=REPORTS)
    """How precise the listed reports are: 1 with an example, 2 in words, 3 where to look."""
    max_steps: int = Field(default=30, ge=1, le=1000)
    """Calls after which the episode is cut; what was not handed in earns nothing."""
    reward: Literal["share", "all"] = "share"
    """`share`: of the hidden tests, from what passed before to all, those that pass; one that passed and fails counts
    against it. `all`: 1 where all pass, else 0."""
    test_timeout_s: float = Field(default=10.0, gt=0, le=20)
    """What one run of the visible tests gets; of instances `judge_timeout_s`."""
    describe: bool = False
    """Whether the instructions list the tools, for players whose format does not."""
    instances_dir: Path | None = Field(default=None, validate_default=True)
    """Published instances: `train.jsonl`, `valid.jsonl`, `test.jsonl`. Only the server may set it."""
    sandbox: str = DEFAULT
    """The backend that generated repositories run in. Only the server may set it."""
    docker: dict[str, JsonValue] = {}
    """Options of the sandbox `docker` that instances run in. Only the server may set it."""
    judge_timeout_s: float = Field(default=600.0, gt=0)
    """What one run of an instance's tests gets; the server's `call_timeout_s` has to be longer. Only the server may
    set it."""

    @field_validator("instances_dir")
    @classmethod
    def _is_needed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("source") == "instances":
            raise ValueError("source 'instances' needs the server's directory of instances")
        return value

    @field_validator("families")
    @classmethod
    def _weights(cls, value: dict[str, int]) -> dict[str, int]:
        return weighed(value, families())


class Repo(Env):
    """Find and fix a defect in a small repository; hidden tests judge it."""

    Config: ClassVar[type[EnvConfig]] = RepoConfig
    config: RepoConfig
    instructions: ClassVar[str] = (
        "Something in this repository does not work as its documentation says. Find out what, fix it in the sources, "
        "and submit. "
        "Hidden tests judge the sources; those in the repository may be run as often as you like. "
        "Call one tool at a time; paths are relative to the repository."
    )
    tools: ClassVar[tuple[ToolSpec, ...]] = TOOLS
    work: Work
    tree: Tree

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        for name in families():
            for split, shares in SHARES.items():
                defects(name, split, shares, PARTS)

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, RepoConfig)
        if config.source == "instances":
            return _instances(config).keys(split)
        weights = config.families or dict.fromkeys(families(), 1)
        return MixedKeys(weights, f"n{config.packages}-k{config.defects}-r{config.report}", split)

    def reset(self, task: Task) -> StepResult:
        config = self.config
        if task.key.startswith("instances/"):
            instance = _instances(config).instance(task.key)
            self.limits = Limits(wall_s=config.judge_timeout_s, cpu_s=4 * config.judge_timeout_s)
            self.work = published(instance, config.docker, config.judge_timeout_s)
            self.judge_limits = self.limits
        else:
            self.limits = Limits(wall_s=config.test_timeout_s, cpu_s=config.test_timeout_s)
            self.work = make(parse(task.key), task.seed, config.sandbox)
            self.judge_limits = Limits(wall_s=CASES_S, cpu_s=CASES_S, output_bytes=4 << 20)
        self.tree = Tree(self.work.base)
        self.read_paths: frozenset[str] = frozenset()
        self.steps = 0
        return going(f"{self.work.issue}\n\nThe repository:\n{self.tree.ls()}")

    def briefing(self) -> Briefing:
        told = [self.instructions]
        if self.config.describe:
            told += map(signature, TOOLS)
        return Briefing("\n".join(told), TOOLS)

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        name, given = action.tool, action.arguments
        tool = BY_NAME.get(name or "")
        if tool is None:
            wrong = "Call a tool" if name is None else f"There is no tool {name[:40]!r}; there are"
            answer = f"{wrong}: {', '.join(BY_NAME)}."
        elif wrong := refusal(tool, given):
            answer = wrong
        elif name == "submit":
            return self._judged(self.work.judge(self.tree, self.judge_limits))
        else:
            answer = self._called(tool.name, given)
        answer = answer.encode(errors="replace").decode()
        if self.steps >= self.config.max_steps:
            return cut(f"{answer}\nNo call is left; nothing was handed in.")
        return going(answer)

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.__dict__.update(self.__dict__)
        twin.tree = self.tree.copy()
        return twin

    def expert(self) -> Action | None:
        for path, right in self.work.gold().items():
            data = self.tree.get(path)
            if data == right.encode():
                continue
            if path not in self.read_paths:
                return Action(tool="read", arguments={"path": path})
            return _repair(path, (data or b"").decode(errors="replace"), right)
        # What the player has spoilt besides is put back.
        for path, data in sorted(self.tree.written.items()):
            before = self.work.base.get(path)
            if before is not None and path not in self.work.gold() and path.endswith(".py") and data != before:
                return Action(tool="write", arguments={"path": path, "text": before.decode()})
        return Action(tool="submit") if self.work.gold() else None

    def _called(self, name: str, given: dict[str, Any]) -> str:
        if name == "run_tests":
            return self.work.run_tests(self.tree, str(given.get("path", "")), self.limits)
        if name == "read":
            self.read_paths |= {str(given["path"])}
        said: str = getattr(self.tree, name)(**given)
        return said

    def _judged(self, judged: Judged) -> StepResult:
        passed, whole = sum(judged.passes), len(judged.passes)
        if judged.solved:
            return won(f"All {whole} hidden tests pass.")
        reward = judged.share if self.config.reward == "share" else 0.0
        broken = sum(was and not now for was, now in zip(judged.before, judged.passes, strict=True))
        why = f" ({judged.why})" if judged.why else ""
        return lost(f"{passed} of {whole} hidden tests pass; {broken} that passed before fail{why}.", reward=reward)


def _repair(path: str, text: str, right: str) -> Action:
    """The edit that makes a file right: the lines that differ, and as many around them as make them occur once."""
    have, want = text.splitlines(keepends=True), right.splitlines(keepends=True)
    head = next(
        (at for at, pair in enumerate(zip(have, want, strict=False)) if pair[0] != pair[1]), min(len(have), len(want))
    )
    tail = 0
    while tail < min(len(have), len(want)) - head and have[-1 - tail] == want[-1 - tail]:
        tail += 1
    for around in range(len(have)):
        start, stop = max(0, head - around), min(len(have), len(have) - tail + around)
        old = "".join(have[start:stop])
        if old and text.count(old) == 1:
            new = "".join(want[start : len(want) - (len(have) - stop)])
            return Action(tool="edit", arguments={"path": path, "old": old, "new": new})
    return Action(tool="write", arguments={"path": path, "text": right})


def _instances(config: RepoConfig) -> Instances:
    """The server's instances. Raises KeyError where it has none."""
    if config.instances_dir is None:
        raise KeyError("this server has no instances; serve repo with instances_dir set")
    return instances(config.instances_dir)
