"""The expert with less than full knowledge: now and then it looks in the wrong place, or says what is not accepted.

An oracle goes straight to what is hidden and makes no mistakes, so its demonstrations show neither how to search nor
how to recover. A detour is made while the next thing to do is to take something: it goes to another place that was not
gone to, and opens what it finds closed there. A slip is a command that was shown earlier in the episode and is not
shown now, else the expert's next command without its last word. Then the expert goes on from where that has led.
The first turn is no slip. Other places are those among the shown commands, else what the first observation calls by a
name and a number; where there are none, and where the format has no words for a slip (`choice` knows only shown
commands), the expert's action is played.
"""

from __future__ import annotations

import re

from pydantic import Field

from agents.conduct import MOVES, SEARCHES, TAKES, accepted, names, said, verb
from agents.policies.base import shown_move
from agents.policies.expert import Expert, ExpertConfig
from agents.types import History, Move, Prompt, Turn
from envserver.schema import Action

__all__ = ["Fallible"]

NUMBERED = re.compile(r"\b[a-z]+ [0-9]+\b")


class FallibleConfig(ExpertConfig):
    """How often."""

    slips: float = Field(default=0.1, ge=0, lt=1)
    """Share of the turns, but the first, that are slips."""
    detours: float = Field(default=0.5, ge=0, lt=1)
    """Share of the moves on a search that lead to a wrong place."""


class Fallible(Expert):
    """A teacher who shows how to search and how to mend a mistake."""

    Config = FallibleConfig
    config: FallibleConfig

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """The expert's next action, a detour or a slip."""
        move = await super().act(prompt, last, history)
        if prompt.kind == "summary":
            return move
        action = self.format.parse(move.text, history).action
        if action is None or action.tool is not None:
            return move
        rng = self.rng(len(history.turns))
        astray, slipping = rng.random() < self.config.detours, rng.random() < self.config.slips
        instead: list[str] = []
        if _at_closed(history) and verb(action.text) in MOVES:
            instead = [f"open {names(said(history.turns[-1]))[-1]}"]
        elif history.turns and slipping:
            instead = _slips(history, action)
        elif astray and verb(action.text) in MOVES and await self._searching(history):
            instead = _elsewhere(history, action)
        if not instead:
            return move
        try:
            text = self.format.write(Action(text=rng.choice(instead)), history)
        except ValueError:
            return move
        return shown_move(text, prompt, last, self.chat)

    async def _searching(self, history: History) -> bool:
        """Whether what comes next in the expert's demonstration, but moves and looks, takes something."""
        assert self.world is not None
        shown = await self.world.gym.demonstration(history.task)
        deeds = [one for action in shown.actions if (one := verb(action.text)) not in MOVES | SEARCHES]
        now = history.opened.result.observation
        done = 0
        for turn in history.turns:
            done += accepted(turn, now) and verb(said(turn)) not in MOVES | SEARCHES
            now = turn.result.observation if turn.result else now
        return done < len(deeds) and deeds[done] in TAKES


def _at_closed(history: History) -> bool:
    """Whether the last move led to something closed."""
    last = history.turns[-1] if history.turns else None
    if last is None or last.result is None or verb(said(last)) not in MOVES or not names(said(last)):
        return False
    return last.result.observation.text.rstrip().endswith(f"{names(said(last))[-1]} is closed.")


def _elsewhere(history: History, right: Action) -> list[str]:
    """The right move with another place in it, one that was not gone to."""
    if not names(right.text):
        return []
    place, gone = names(right.text)[-1], {said(turn) for turn in history.turns}
    choices = history.observation.choices
    moves = [command for command in choices if verb(command) == verb(right.text)]
    if not choices:
        places = NUMBERED.findall(history.opened.result.observation.text)
        moves = [right.text.replace(place, other) for other in dict.fromkeys(places)]
    return [command for command in moves if command not in gone | {right.text}]


def _slips(history: History, right: Action) -> list[str]:
    """Commands that were shown earlier and are not shown now, else the right one cut short."""
    now = history.observation.choices
    results = [history.opened.result, *(turn.result for turn in history.turns if turn.result is not None)]
    gone = {command for result in results for command in result.observation.choices} - set(now)
    if not gone and " " in right.text:
        gone = {right.text.rpartition(" ")[0]} - set(now)
    return sorted(gone)
