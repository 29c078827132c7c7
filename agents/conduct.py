"""What can be told of a turn without knowing its world: whether the action was accepted, and what it was about.

Rule: only what a player can see counts: the commands that were shown, and where none are shown, what came back.
"""

from __future__ import annotations

from collections.abc import Sequence

from agents.formats.base import spoken
from agents.types import Episode, Turn
from envserver.schema import Observation

__all__ = [
    "MOVES",
    "REFUSALS",
    "SEARCHES",
    "TAKES",
    "accepted",
    "headings",
    "names",
    "said",
    "shown",
    "targets",
    "verb",
]

REFUSALS = (
    "Nothing happens",
    "No known action matches that input",
    "You can't ",
    "That's not ",
    "I only understood you as far as",
    "I didn't understand",
)
"""How an answer begins that refuses an action: keydoor's and ALFWorld's, ScienceWorld's, TextWorld's."""

HEADINGS = frozenset({"north", "south", "east", "west"})
PLACES = frozenset({"to", "from", "in", "on", "in/on", "into", "onto", "with", "using", "at", "under", "inside", "of"})
PARTICLES = PLACES | {"the", "a", "an", "up", "down", "out", "off", "around"}

MOVES = frozenset({"go", "walk", "enter", "look", "close", "inventory", "wait"})
SEARCHES = frozenset({"go", "walk", "enter", "look", "open", "examine", "search"})
TAKES = frozenset({"take", "get", "grab", "pick"})
"""Verbs: that change nothing but where one is, that may find something, that bring it into one's hands."""


def shown(episode: Episode) -> list[Observation]:
    """(T,) what the world showed before each turn; an unparsable answer leaves it standing."""
    now = episode.opened.result.observation if episode.opened else Observation(text="")
    found: list[Observation] = []
    for turn in episode.turns:
        found.append(now)
        now = turn.result.observation if turn.result is not None else now
    return found


def accepted(turn: Turn, before: Observation, refusals: Sequence[str] = REFUSALS) -> bool:
    """Whether the world took the turn's action; `before` is what it showed then.

    Where commands were shown, the action is one of them (case and spaces aside); where none were, the answer to it does
    not begin with one of `refusals`. What could not be parsed was not accepted.
    """
    action = turn.reply.action
    if action is None or turn.result is None:
        return False
    if before.choices and action.tool is None:
        command = _plain(action.text)
        return action.text in before.choices or any(command == _plain(choice) for choice in before.choices)
    return not turn.result.observation.text.lstrip().startswith(tuple(refusals))


def verb(command: str) -> str:
    """The first word of a command."""
    return _plain(command).partition(" ")[0]


def names(command: str) -> list[str]:
    """The objects and places that a command names, in order: what stands between its verb and its little words."""
    found: list[list[str]] = [[]]
    for word in _plain(command).split()[1:]:
        if word in PARTICLES:
            found.append([])
        elif word not in HEADINGS:
            found[-1].append(word)
    return [" ".join(words) for words in found if words]


def targets(command: str) -> frozenset[str]:
    """The same as a set."""
    return frozenset(names(command))


def headings(command: str) -> bool:
    """Whether a command goes by the compass: where it leads is seen only afterwards."""
    return not HEADINGS.isdisjoint(_plain(command).split())


def said(turn: Turn) -> str:
    """The turn's action in one line; "" where none could be read."""
    return "" if turn.reply.action is None else _plain(spoken(turn.reply.action))


def _plain(command: str) -> str:
    return " ".join(command.lower().split())
