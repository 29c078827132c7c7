"""A published CodeGym environment as a program: its code runs in a sandbox, a fresh child for each call.

The log of calls is the state, so a copy is the log, and a call that hangs, crashes or floods is answered and not kept.
The closing message, which names the reference answer, is not shown.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

from pydantic import JsonValue

from envserver.envs._tooluse.codegym import ForeignTask
from envserver.envs._tooluse.program import Call, Program
from envserver.sandboxes.base import Limits, Ran, Sandbox, open_sandbox
from envserver.schema import ToolSpec

__all__ = ["Foreign"]

INSIDE = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
LIMITS = Limits(wall_s=5.0, cpu_s=5.0, output_bytes=4 << 20)
SHOWN_CHARS = 16_384
"""Of what a tool says."""


class Foreign(Program):
    """One task of a published environment. Raises RuntimeError where its code does not begin."""

    def __init__(self, task: ForeignTask, backend: str) -> None:
        self.task = task
        self.backend = backend
        self._sandbox: Sandbox | None = None
        self.calls: list[Any] = []
        """As CodeGym writes them: name and parameters."""
        self.story = "The tools are all there is."
        self.question = _text(task.question)
        try:
            told, why = self._run([], brief=True)
            if told is None:
                raise RuntimeError(f"the CodeGym environment '{task.name}' does not begin: {why}")
            self.tools = {tool["name"]: ToolSpec.model_validate(tool) for tool in told["tools"]}
            self.gold: list[Any] = told["gold"]
        except BaseException:
            self.close()
            raise

    def call(self, name: str, arguments: dict[str, JsonValue]) -> str | bool:
        if name not in self.tools:
            return f"There is no tool {name[:40]!r}; there are: {', '.join(self.tools)}."
        calls = [*self.calls, {"name": name, "parameters": arguments}]
        told, why = self._run(calls, brief=False)
        if told is None:
            return f"The call failed: {why}."
        self.calls = calls
        if told["finished"]:
            return bool(told["reward"] > 0)
        return _text(str(told["said"])[:SHOWN_CHARS])

    def plan(self) -> Iterator[Call]:
        """The file's own solution, while it is followed."""
        made = len(self.calls)
        if self.gold[:made] == self.calls:
            for call in self.gold[made:]:
                yield call["name"], call["parameters"]

    def copy(self) -> Self:
        twin = super().copy()
        twin._sandbox = None
        return twin

    def close(self) -> None:
        """Let the sandbox go."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def _run(self, calls: list[Any], *, brief: bool) -> tuple[dict[str, Any] | None, str]:
        """What stands where these calls lead; None, and why, where they lead nowhere."""
        if self._sandbox is None:
            self._sandbox = open_sandbox(self.backend)
        task = self.task
        asked = {"source": task.source, "name": task.name, "task": task.task, "calls": calls, "brief": brief}
        ran = self._sandbox.run(python=INSIDE, stdin=json.dumps(asked).encode(), limits=LIMITS)
        try:
            told = json.loads(ran.stdout)
        except (ValueError, RecursionError):
            return None, _why(ran)
        missing = not isinstance(told, dict) or {"said", "finished", "reward"} - told.keys()
        return (None, "it said something else") if missing else (told, "")


def _text(said: str) -> str:
    """The same without what no wire carries: half a character."""
    return said.encode(errors="replace").decode()


def _why(ran: Ran) -> str:
    """What ended a child that gave no answer, in some words."""
    if ran.timed_out:
        return f"it did not end within {LIMITS.wall_s:g} s"
    if ran.out_of_memory:
        return "it took too much memory"
    if ran.cut:
        return "it said too much"
    return (ran.err.strip().splitlines() or ["it said nothing"])[-1][:200]
