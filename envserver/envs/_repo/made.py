"""A generated repository: packages of which one has defects, with tests to see and cases that judge.

A case is a program that uses the package. It runs on the player's sources in a fresh sandbox and what it gives is
compared out here with what the right sources gave: no test runner, no assertion and no right answer is where the
player's code runs.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from envserver.envs._repo.inside import same
from envserver.envs._repo.tree import Tree
from envserver.envs._repo.work import Judged, Work, told
from envserver.sandboxes.base import Limits, open_sandbox

__all__ = ["INSIDE", "Made"]

INSIDE = Path(__file__).with_name("inside.py").read_text(encoding="utf-8")
SUITE = Path(__file__).with_name("suite.py").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Made(Work):
    """One generated repository."""

    backend: str
    root: str
    """Directory of the packages, with a `/` or empty."""
    base: Mapping[str, bytes]
    right: Mapping[str, str]
    """Path -> right text of the files with a defect."""
    issue: str
    cases: tuple[str, ...]
    wanted: tuple[dict[str, Any], ...]
    """What each case gives with the right sources."""
    before: tuple[bool, ...]
    """Which cases give that with the defects."""
    kinds: tuple[str, ...]
    """What kinds of defects there are."""
    sites: tuple[str, ...]
    """Where they are, in the template's words."""

    def run_tests(self, tree: Tree, path: str, limits: Limits) -> str:
        if path and (not path.endswith(".py") or tree.get(path) is None):
            return f"There is no test file '{path[:80]}'."
        asked = {"files": _texts(tree), "root": self.root, "path": path}
        with open_sandbox(self.backend) as sandbox:
            return told(sandbox.run(python=SUITE, stdin=json.dumps(asked).encode(), limits=limits), limits)

    def judge(self, tree: Tree, limits: Limits) -> Judged:
        asked = {"files": _texts(tree), "root": self.root, "cases": self.cases}
        with open_sandbox(self.backend) as sandbox:
            ran = sandbox.run(python=INSIDE, stdin=json.dumps(asked).encode(), limits=limits)
        try:
            given = json.loads(ran.stdout)
        except (ValueError, RecursionError):
            given = None
        if not isinstance(given, list) or len(given) != len(self.cases):
            return Judged((False,) * len(self.cases), self.before, "the code ended before it gave an answer")
        passes = (
            isinstance(one, dict) and _matches(wanted, one) for wanted, one in zip(self.wanted, given, strict=True)
        )
        return Judged(tuple(passes), self.before)

    def gold(self) -> Mapping[str, str]:
        return self.right


def _matches(wanted: dict[str, Any], given: dict[str, Any]) -> bool:
    """The same outcome; whatever a hostile answer is made of."""
    kinds = given.get("raises", [])
    return isinstance(kinds, list) and same(wanted, given)


def _texts(tree: Tree) -> dict[str, str]:
    return {path: data.decode() for path, data in tree.files().items()}
