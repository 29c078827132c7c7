"""A player's program at work: cells of a session, a function on arguments, a data set's tests; each in a fresh child.

What is right never goes in: a function is given arguments and what it gave is compared here; a data set's tests and a
player's program are in two runs, each of its own memory, and only plain data go between them.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from envserver.envs._python.inside import KEPT
from envserver.sandboxes.base import Limits, Ran, Sandbox, open_sandbox

__all__ = ["Given", "Lodging"]

INSIDE = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
SHOWN_CHARS = 8192
EACH_S = 2.0
"""Of one call of a submitted function."""
PROCESSES = 16
ADDRESS = re.compile(r" at 0x[0-9a-f]{6,16}\b")

Call = list[Any]
"""Frozen arguments, and those by name."""


@dataclass(frozen=True, slots=True)
class Given:
    """What a call gave: frozen, where it is good."""

    good: bool
    what: Any = None


class Lodging:
    """The sandbox of one episode, opened when it is first needed."""

    def __init__(self, backend: str, call_s: float, memory_bytes: int) -> None:
        self.backend = backend
        self.limits = Limits(wall_s=call_s, cpu_s=call_s, memory_bytes=memory_bytes, processes=PROCESSES)
        self._sandbox: Sandbox | None = None

    def session(self, cells: list[str], code: str) -> tuple[str, bool]:
        """What one more cell says, and whether it was played to its end."""
        ran = self._run({"mode": "session", "cells": cells, "code": code})
        said = ADDRESS.sub(" at 0x...", ran.out).encode(errors="replace").decode().rstrip("\n")
        if len(said) > SHOWN_CHARS:
            left = len(said) - SHOWN_CHARS
            said = f"{said[: SHOWN_CHARS // 2]}\n... {left} characters left out ...\n{said[-SHOWN_CHARS // 2 :]}"
        kept = ran.ok and ran.err.endswith(KEPT)
        return (said or "(no output)") if kept else f"{said}\n{self._why(ran)}".strip(), kept

    def refusal(self, before: str, source: str, name: str) -> str:
        """Why a source cannot be called, in a sentence; empty where it can."""
        lines = self._lines({"mode": "calls", "before": before, "source": source, "name": name, "calls": []})
        if isinstance(lines, str):
            return lines
        return next((str(what) for number, good, what in lines if number == -1 and not good), "")

    def calls(self, before: str, source: str, name: str, calls: list[Call]) -> list[Given]:
        """What a function gives for each call; one that failed, or was not reached, is not good."""
        lines = self._lines({"mode": "calls", "before": before, "source": source, "name": name, "calls": calls})
        given = [Given(False)] * len(calls)
        for number, good, what in [] if isinstance(lines, str) else lines:
            if 0 <= number < len(calls) and good:
                given[number] = Given(True, what)
        return given

    def tests(self, asked: dict[str, Any], given: list[Any] | None) -> list[tuple[bool, Any]]:
        """Of each test of a data set whether it passes, and the calls it made, or why not."""
        ran = self._run({"mode": "tests", **asked, "given": given})
        found = []
        for line in ran.out.splitlines():
            passed, what = json.loads(line)
            found.append((passed is True, what))
        missing = len(asked["tests"]) - len(found)
        return found + [(False, self._why(ran))] * missing

    def program(self, source: str, inputs: list[str]) -> list[str | None]:
        """What a whole program prints for each input, all in the time of one run; None where it does not end well."""
        said: list[str | None] = []
        left_s = self.limits.wall_s
        for stdin in inputs:
            if left_s <= 0:
                return said + [None] * (len(inputs) - len(said))
            limits = replace(self.limits, wall_s=left_s)
            ran = self._open().run(python=source, stdin=stdin.encode(errors="replace"), limits=limits)
            left_s -= ran.wall_s
            said.append(ran.out if ran.ok else None)
        return said

    def restart(self) -> None:
        """Take every file away."""
        if self._sandbox is not None:
            self._sandbox.reset()

    def close(self) -> None:
        """Let the sandbox go."""
        sandbox, self._sandbox = self._sandbox, None
        if sandbox is not None:
            sandbox.close()

    def _open(self) -> Sandbox:
        if self._sandbox is None:
            self._sandbox = open_sandbox(self.backend)
        return self._sandbox

    def _run(self, asked: dict[str, Any]) -> Ran:
        said = json.dumps({"each_s": EACH_S, **asked}).encode()
        return self._open().run(python=INSIDE, stdin=said, limits=self.limits)

    def _lines(self, asked: dict[str, Any]) -> list[tuple[int, bool, Any]] | str:
        """The lines a submitted program's run gave, for what they are worth; why there are none."""
        ran = self._run(asked)
        found = []
        for line in ran.stdout.splitlines():
            try:
                number, good, what = json.loads(line)
            except (ValueError, TypeError, RecursionError):
                continue
            if type(number) is int and type(good) is bool:
                found.append((number, good, what))
        return found or self._why(ran)

    def _why(self, ran: Ran) -> str:
        """What ended a run that was not played to its end."""
        if ran.timed_out:
            return f"It did not end within {self.limits.wall_s:g} s."
        if ran.out_of_memory:
            return "It took too much memory."
        if ran.cut:
            return f"It wrote more than {self.limits.output_bytes >> 20} MiB."
        return f"It ended the interpreter (signal {ran.signal})." if ran.signal else "It ended the interpreter."
