"""Python: problems of programming and maths, solved with an interpreter in a sandbox and judged by hidden tests.

A key such as `stairs/d1/train/0042` names a family, a difficulty, a split and a number; the task's seed draws another
problem under the same key. `run` plays code in an interpreter whose state lasts from call to call, `submit` is judged
once. A submission is a program of its own: it is given hidden arguments, and what it gives is compared in the worker,
so what is right is nowhere that it can look.

Programs end with their run, so every `run` plays the kept calls again, unheard, in a fresh child: a call that hangs,
crashes or floods is told and not kept, and the state is as it was. Files are as those calls leave them.

`deterministic` is False: hash order, `random` and `repr` of objects without one are the same everywhere, but the clock,
`os.urandom`, `id()`, an order by address, threads and how far a program comes in its time are not.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

from pydantic import Field, ValidationInfo, field_validator

from envserver.arguments import refusal
from envserver.calls import signature
from envserver.core import Briefing, Env, EnvConfig, cut, going, lost, won
from envserver.envs._python.files import Files, files
from envserver.envs._python.keys import LEVELS, Drawn, drawn, families, family, parse
from envserver.envs._python.lodging import Lodging
from envserver.envs._python.problem import Coding, Maths
from envserver.envs._python.quest import Function, Quest, Tested, Value
from envserver.numbered import MixedKeys, weighed
from envserver.sandboxes.base import DEFAULT, SandboxLost, open_sandbox
from envserver.schema import Action, StepResult, Task, ToolSpec

__all__ = ["Python"]

LONGEST_CHARS = 65_536
"""Of what is run or submitted."""


def _tool(name: str, description: str, *parameters: str) -> ToolSpec:
    properties: dict[str, Any] = {one: {"type": "string"} for one in parameters}
    schema = {"type": "object", "properties": properties, "required": [*parameters], "additionalProperties": False}
    return ToolSpec(name=name, description=description, parameters=schema)


RUN = _tool("run", "Run Python; variables, functions and files stay. The last expression is shown.", "code")
RESTART = _tool("restart", "Forget everything that was run.")
SUBMIT_CODE = _tool("submit", "Hand in a program of its own, whole; it is judged once.", "code")
SUBMIT_ANSWER = _tool("submit", "Hand in the answer; it is judged once.", "answer")


class PythonConfig(EnvConfig):
    """Options of python."""

    servers_own: ClassVar[tuple[str, ...]] = ("files_dir", "sandbox", "memory_bytes", "call_s")

    source: Literal["generated", "files"] = "generated"
    """What is listed: problems of the families, or the tasks in `files_dir`."""
    families: dict[str, int] = {}
    """Which families are listed, each with its weight; none given: all, alike."""
    difficulty: int = Field(default=1, ge=1, le=LEVELS)
    """How many conditions the problems have that are listed."""
    max_steps: int = Field(default=12, ge=1, le=1000)
    """Calls after which the episode is cut."""
    reward: Literal["all", "share"] = "all"
    """`all`: 1 where every hidden test is passed. `share`: the share that is passed, of those beyond what the best
    answer that is always the same would pass; what a data set's own asserts say counts as it is."""
    describe: bool = False
    """Whether the instructions list the tools, for players whose format does not."""
    files_dir: Path | None = Field(default=None, validate_default=True)
    """A directory of tasks as `.jsonl`, like MBPP, HumanEval, APPS, GSM8K or MATH. Only the server may set it."""
    sandbox: str = DEFAULT
    """The backend that programs run in. Only the server may set it."""
    call_s: float = Field(default=5.0, gt=0, le=60)
    """Time of one run, what is played again included, and of a submission's whole test. Only the server may set it."""
    memory_bytes: int = Field(default=256 << 20, ge=32 << 20, le=8 << 30)
    """Memory of one run. Only the server may set it."""

    @field_validator("files_dir")
    @classmethod
    def _is_needed(cls, value: Path | None, info: ValidationInfo) -> Path | None:
        if value is None and info.data.get("source") == "files":
            raise ValueError("source 'files' needs the server's directory of tasks")
        return value

    @field_validator("families")
    @classmethod
    def _weights(cls, value: dict[str, int]) -> dict[str, int]:
        return weighed(value, families())


class Python(Env):
    """Solve a problem of programming or maths with an interpreter, and hand in a program or an answer."""

    Config: ClassVar[type[EnvConfig]] = PythonConfig
    config: PythonConfig
    instructions: ClassVar[str] = (
        "Try things with run, which keeps its state; submit ends the task and is judged by hidden tests."
    )
    tools: ClassVar[tuple[ToolSpec, ...]] = (RUN, RESTART, SUBMIT_CODE)
    deterministic: ClassVar[bool] = False
    quest: Quest

    @classmethod
    def warm(cls, config: EnvConfig) -> None:
        for name in families():
            family(name)

    @classmethod
    def tasks(cls, config: EnvConfig, split: str) -> Sequence[str]:
        assert isinstance(config, PythonConfig)
        if config.source == "files":
            return _files(config).keys(split)
        weights = config.families or dict.fromkeys(families(), 1)
        return MixedKeys(weights, f"d{config.difficulty}", split)

    def reset(self, task: Task) -> StepResult:
        _need(self.config.sandbox)
        self.lodging = self._lodging()
        self.cells: list[str] = []
        self.steps = 0
        if task.key.startswith("files/"):
            self.quest = _files(self.config).quest(task.key)
            if isinstance(self.quest, Tested):
                self.quest.note(self.lodging)
        else:
            self.quest = _quest(drawn(parse(task.key), task.seed))
        return going(self.quest.question.encode(errors="replace").decode())

    def briefing(self) -> Briefing:
        tools = [RUN, RESTART, SUBMIT_ANSWER if isinstance(self.quest, Value) else SUBMIT_CODE]
        told = [self.instructions]
        if self.config.describe:
            told += map(signature, tools)
        return Briefing("\n".join(told), tools)

    def step(self, action: Action) -> StepResult:
        self.steps += 1
        result = self._called(action)
        if result.over or self.steps < self.config.max_steps:
            return result
        return cut(f"{result.observation.text}\nNo call is left.")

    def close(self) -> None:
        if hasattr(self, "lodging"):
            self.lodging.close()

    def copy(self) -> Self:
        twin = type(self)(self.config)
        twin.quest, twin.steps, twin.cells = self.quest, self.steps, list(self.cells)
        twin.lodging = self._lodging()
        return twin

    def expert(self) -> Action | None:
        """Tries its program where a call is left for it, and hands in what it knows."""
        quest = self.quest
        if isinstance(quest, Value):
            if quest.gold and not self.cells and self.steps + 1 < self.config.max_steps:
                return Action(tool="run", arguments={"code": quest.gold})
            return Action(tool="submit", arguments={"answer": quest.right})
        if not quest.gold:
            return None
        if isinstance(quest, Function) and not self.cells and self.steps + 1 < self.config.max_steps:
            return Action(tool="run", arguments={"code": quest.gold + quest.trial})
        return Action(tool="submit", arguments={"code": quest.gold})

    def _called(self, action: Action) -> StepResult:
        """What a call comes to; a sentence where nothing could be called."""
        tools = {tool.name: tool for tool in self.briefing().tools}
        if action.tool is None:
            return going(f"Call a tool: {', '.join(tools)}.")
        if (tool := tools.get(action.tool)) is None:
            return going(f"There is no tool {action.tool[:40]!r}; there are: {', '.join(tools)}.")
        if wrong := refusal(tool, action.arguments):
            return going(wrong)
        [said] = action.arguments.values() or ("",)
        assert isinstance(said, str)
        if len(said) > LONGEST_CHARS:
            return going(f"That is longer than {LONGEST_CHARS} characters.")
        try:
            if tool is RUN:
                return self._run(said)
            if tool is RESTART:
                self.cells = []
                self.lodging.restart()
                return going("Nothing is left of what was run.")
            return self._judged(said)
        except SandboxLost:
            # Its supervisor was ended from outside; what was run is played again in another.
            self.lodging.close()
            return going("The interpreter was lost; call again.")

    def _run(self, code: str) -> StepResult:
        said, kept = self.lodging.session(self.cells, code)
        if kept:
            self.cells.append(code)
            return going(said)
        return going(f"{said} This call is not kept: all is as it was before it.")

    def _judged(self, submitted: str) -> StepResult:
        quest = self.quest
        if wrong := quest.refusal(self.lodging, submitted):
            return going(f"That cannot be judged: {wrong[:1000].encode(errors='replace').decode()}")
        passed, tests = quest.passed(self.lodging, submitted)
        if passed == tests:
            return won("Right." if tests == 1 else f"All {tests} hidden tests are passed.")
        share = max(0.0, (passed - quest.guess) / (tests - quest.guess)) if tests > quest.guess else 0.0
        text = "Wrong." if tests == 1 else f"{passed} of {tests} hidden tests are passed."
        return lost(text, reward=share if self.config.reward == "share" else 0.0)

    def _lodging(self) -> Lodging:
        return Lodging(self.config.sandbox, self.config.call_s, self.config.memory_bytes)


@cache
def _need(backend: str) -> None:
    """Raises SandboxUnavailable where this host cannot have it: a task that could not be played is not opened."""
    open_sandbox(backend).close()


def _quest(found: Drawn) -> Quest:
    """What a drawn problem asks."""
    problem = found.problem
    if isinstance(problem, Maths):
        return Value(problem.words, problem.gold, problem.value)
    assert isinstance(problem, Coding)
    calls = [f"solve({', '.join(map(repr, case.arguments))}) == {case.answer!r}" for case in found.shown]
    told = "\n".join([f"Write solve({problem.takes}) -> {problem.gives}. {problem.words}", "", *calls])
    cases = [(list(case.arguments), case.answer) for case in found.hidden]
    return Function(told, problem.gold, "solve", cases, trial="\n" + calls[0])


def _files(config: PythonConfig) -> Files:
    """The server's tasks. Raises KeyError where it has none."""
    if config.files_dir is None:
        raise KeyError("this server has no files of tasks; serve python with files_dir set")
    return files(config.files_dir)
