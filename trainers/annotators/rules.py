"""Thoughts by rules from what the expert did: no model is asked.

RLVMR (arXiv 2507.22844) has a large language model write them; these rules are ours:

    planning     the first turn; the plan names every action but moves, in order, without numbers of things and, for
                 what is taken, without the place
    reflection   a turn that is accepted after one that was not
    explore      a turn that goes to, opens or looks at something not named before, while the next other action takes
                 something: then it is a search
    monitor      every other turn; its words are the step of the plan that comes next

So the words hold nothing but the plan that could not be known from what was seen.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import ClassVar

from agents.conduct import MOVES, SEARCHES, TAKES, accepted, headings, names, said, shown, targets, verb
from agents.types import Episode
from trainers.annotators.base import Annotator, AnnotatorConfig, Note, Notes

__all__ = ["Rules", "plan"]


class RulesConfig(AnnotatorConfig):
    """Nothing to set."""

    name: str = "rules"
    """The annotator's registry name."""


class Rules(Annotator):
    """Reads the demonstration backwards: what a turn was for is known from what came after it."""

    Config: ClassVar[type[AnnotatorConfig]] = RulesConfig

    async def notes(self, episodes: Sequence[Episode], done: Callable[[], None]) -> list[Notes | None]:
        """Every episode gets its notes."""
        found: list[Notes | None] = []
        for episode in episodes:
            found.append(_notes(episode))
            done()
        return found


def plan(commands: Sequence[str]) -> list[str]:
    """What a sequence of commands amounts to."""
    return [_step(command) for index, command in enumerate(commands) if _counts(command, index, commands)]


def _notes(episode: Episode) -> Notes:
    taken = [accepted(turn, before) for turn, before in zip(episode.turns, shown(episode), strict=True)]
    actions = [said(turn) for turn in episode.turns]
    commands = [action for action, took in zip(actions, taken, strict=True) if took]
    steps = plan(commands) or ["look until the task is done"]
    named: set[str] = set()
    played = passed = 0
    found: Notes = []
    for index, (action, took) in enumerate(zip(actions, taken, strict=True)):
        sought = _sought(commands[played:])
        if index == 0:
            note = Note("planning", " ".join(f"{number}. {step}" for number, step in enumerate(steps, 1)))
        elif took and not taken[index - 1]:
            note = Note("reflection", f"{actions[index - 1] or 'that'} did not work, {action} may.")
        elif took and sought and (headings(action) or not targets(action) <= named):
            note = Note(
                "explore", f"{sought} may be at {names(action)[-1]}." if names(action) else f"{sought} may be on."
            )
        else:
            step = min(passed, len(steps) - 1)
            note = Note("monitor", f"{step + 1}. {steps[step]}")
        found.append(note)
        if took:
            passed += _counts(action, played, commands)
            named |= targets(action)
            played += 1
    return found


def _counts(command: str, index: int, commands: Sequence[str]) -> bool:
    """Whether a command is a step of the plan: it is no move, and opens nothing on the way to something else."""
    return index == len(commands) - 1 or verb(command) not in MOVES | SEARCHES


def _step(command: str) -> str:
    """A command as a step of a plan: kinds of things, and no place where a thing will be found."""
    words = command.split()
    if words[0] in TAKES:
        words = [words[0], *(names(command) or [""])[0].split()]
    return " ".join(word for word in words if not word.isdigit())


def _sought(commands: Sequence[str]) -> str:
    """The kind of thing that a search is for, which these commands begin with; "" where they begin with none."""
    if not commands or verb(commands[0]) not in SEARCHES:
        return ""
    after = next((command for command in commands if verb(command) not in MOVES | SEARCHES), "")
    return _step(after).partition(" ")[2] if verb(after) in TAKES else ""
