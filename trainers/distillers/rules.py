"""Lessons by rules, for worlds that say what they take and what they refuse: no model is asked.

SLEA-RL's code (arXiv 2603.18079) has rules in place of the paper's language model too; these rules, and which of its
levels they fill, are ours:

    strategy  principle    the first observation: the commands that were taken and changed something, as one plan
              method       any other observation: the command that was taken there and changed something
    warning   diagnostic   the command after which the world ended the episode, and what it said
              mistake      a command that was refused, and what the world said
              pattern      a command given before while the same was shown

Each begins with what was seen there: where it holds. What the world shows in answer to a command it refused is no
situation that a lesson could be for.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar

from pydantic import Field

from agents.conduct import accepted, said, shown
from agents.formats.base import first_line
from agents.types import Episode, StopReason
from skills_db.types import NewExperience
from trainers.annotators.rules import plan
from trainers.distillers.base import Distiller, DistillerConfig, Lessons, lesson

__all__ = ["Rules"]


class RulesConfig(DistillerConfig):
    """How much is said."""

    name: str = "rules"
    """The distiller's registry name."""
    answer_chars: int = Field(120, ge=0)
    """What the world said is told in so many characters at most."""
    where_chars: int = Field(40, ge=0)
    """How much of what was seen is told before the advice. Without it the same command in two places is one lesson to
    `memory.novelty`, and is found in one of them alone."""


class Rules(Distiller):
    """Reads who was refused, who went in circles, and what the winners did."""

    Config: ClassVar[type[DistillerConfig]] = RulesConfig
    config: RulesConfig

    async def lessons(self, won: Sequence[Episode], lost: Sequence[Episode]) -> list[Lessons]:
        """Of each episode, the plan or the end first."""
        found = [_strategies(episode) for episode in won] + [
            _warnings(episode, self.config.answer_chars) for episode in lost
        ]
        return [[self._placed(one) for one in lessons] for lessons in found]

    def _placed(self, one: NewExperience) -> NewExperience:
        where = first_line(one.situation)[: self.config.where_chars].strip()
        return replace(one, advice=f"{where} > {one.advice}") if where else one


def _warnings(episode: Episode, answer_chars: int) -> Lessons:
    before, found = shown(episode), Lessons()
    done: set[tuple[str, str]] = set()
    for index, (turn, seen) in enumerate(zip(episode.turns, before, strict=True)):
        action = said(turn)
        if not action or turn.result is None or refused(episode, index - 1):
            continue
        told = first_line(turn.result.observation.text)[:answer_chars]
        if not accepted(turn, seen):
            found.append(lesson(episode, index, f"{action}: {told}", "failure", "mistake"))
        elif (seen.text, action) in done:
            found.append(lesson(episode, index, f"{action} again: {told}", "failure", "pattern"))
        elif episode.stop is StopReason.DONE and index == len(episode.turns) - 1:
            found.insert(0, lesson(episode, index, f"{action}: {told}", "failure", "diagnostic"))
        done.add((seen.text, action))
    return found


def _strategies(episode: Episode) -> Lessons:
    """What a winner did, leaving out what was refused, changed nothing, or was done before."""
    before, found = shown(episode), Lessons()
    helped: list[int] = []
    done: set[tuple[str, str]] = set()
    for index, (turn, seen) in enumerate(zip(episode.turns, before, strict=True)):
        action = said(turn)
        changed = turn.result is not None and turn.result.observation.text != seen.text
        if changed and accepted(turn, seen) and (seen.text, action) not in done:
            helped.append(index)
        done.add((seen.text, action))
    commands = [said(episode.turns[index]) for index in helped]
    if steps := plan(commands):
        told = " ".join(f"{number}. {step}" for number, step in enumerate(steps, 1))
        found.append(lesson(episode, 0, told, "skill", "principle"))
    for index, command in zip(helped, commands, strict=True):
        if (before[index].text != before[0].text or not steps) and not refused(episode, index - 1):
            found.append(lesson(episode, index, command, "skill", "method"))
    return found


def refused(episode: Episode, index: int) -> bool:
    """Whether the world's answer to this turn is a refusal: then it shows no situation that comes again."""
    while index >= 0 and episode.turns[index].result is None:
        index -= 1  # an answer that could not be read leaves standing what was shown
    return index >= 0 and not accepted(episode.turns[index], shown(episode)[index])
