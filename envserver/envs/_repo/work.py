"""What an episode works on: a tree of files, a report, tests to run, and a judgement at the end."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import NamedTuple

from envserver.envs._repo.tree import Tree, shortened
from envserver.sandboxes.base import Limits, Ran

__all__ = ["Judged", "Work", "told"]

SCRUBBED = ((re.compile(r" at 0x[0-9a-f]+"), " at 0x..."), (re.compile(r"\bin \d+\.\d+ ?s(?:econds)?\b"), "in ... s"))
"""What differs from run to run of the same tests: addresses and times."""
SHOWN_CHARS = 8_000


class Judged(NamedTuple):
    """Hidden tests: which pass, and which passed before anything was done."""

    passes: tuple[bool, ...]
    before: tuple[bool, ...]
    why: str = ""
    """Why none counts, where that is so."""

    @property
    def solved(self) -> bool:
        """All pass."""
        return all(self.passes)

    @property
    def share(self) -> float:
        """Of the way from what passed before to all; what passed and fails counts against it; never below 0."""
        missing = self.before.count(False)
        return max(0.0, (sum(self.passes) - sum(self.before)) / missing)


class Work(ABC):
    """One task's repository. It is shared by all episodes of the task and never changes."""

    issue: str
    base: Mapping[str, bytes]

    @abstractmethod
    def run_tests(self, tree: Tree, path: str, limits: Limits) -> str:
        """What the tests that the player may see print, all or those of a file, in a fresh sandbox."""

    @abstractmethod
    def judge(self, tree: Tree, limits: Limits) -> Judged:
        """What the hidden tests say, in a fresh sandbox."""

    @abstractmethod
    def gold(self) -> Mapping[str, str]:
        """Path -> right text of the files to change; none where that is not known."""


def told(ran: Ran, limits: Limits) -> str:
    """What tests printed, without what differs from run to run, and how they ended where that says more."""
    text = (ran.out + ran.err).strip()
    for pattern, words in SCRUBBED:
        text = pattern.sub(words, text)
    notes = []
    if ran.timed_out:
        notes.append(f"(The tests did not end within {limits.wall_s:g} s.)")
    elif ran.cut:
        notes.append("(The tests wrote too much and were ended.)")
    elif ran.out_of_memory:
        notes.append("(The tests took too much memory and were ended.)")
    elif ran.signal is not None:
        notes.append(f"(Signal {ran.signal} ended the tests.)")
    elif ran.code:
        notes.append(f"(Exit code {ran.code}.)")
    return "\n".join(filter(None, [shortened(text, SHOWN_CHARS), *notes])) or "(The tests printed nothing.)"
