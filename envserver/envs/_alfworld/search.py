"""An expert that knows what a player knows: it looks into likely receptacles in turn, then goes the oracle's way.

What it has not seen it takes to be empty, and plans with that; while there is no plan it searches on. So its
demonstrations can be imitated, where the oracle's go straight to a thing that nobody has seen yet.
"""

from __future__ import annotations

from envserver.envs._alfworld.oracle import plan
from envserver.envs._alfworld.play import Play
from envserver.envs._alfworld.state import State

__all__ = ["next_command", "seen_after"]

SHOWS = ("go to ", "open ", "examine ")
"""Commands that show what lies in a receptacle."""


def seen_after(play: Play, command: str, seen: int) -> int:
    """The receptacles that have been looked into, after a step with this command."""
    shown = next((command.strip().removeprefix(verb) for verb in SHOWS if command.strip().startswith(verb)), None)
    if not play.moved or shown not in play.game.receptacles:
        return seen
    at = play.game.receptacles.index(shown)
    return seen if _closed(play, at) else seen | 1 << at


def next_command(play: Play, seen: int) -> str | None:
    """What to do next; None where all has been seen and nothing helps. Raises ValueError for a foreign goal."""
    if play.won:
        return None
    believed = play.copy()
    believed.state = _believed(play.state, seen)
    commands = plan(believed)
    return commands[0] if commands else _look(play, seen)


def _believed(state: State, seen: int) -> State:
    return state._replace(contents=tuple(things if seen >> at & 1 else 0 for at, things in enumerate(state.contents)))


def _look(play: Play, seen: int) -> str | None:
    """On to the next receptacle: likely ones first, near ones before others, then as they are numbered."""
    facts, here = play.game.facts, play.state.at
    unseen = [at for at, home in enumerate(facts.home) if home >= 0 and not seen >> at & 1]
    if not unseen:
        return None
    at = min(unseen, key=lambda at: (not _likely(play, at), facts.home[at] != here))
    name = play.game.receptacles[at]
    if facts.home[at] != here:
        return f"go to {name}"
    return f"open {name}" if _closed(play, at) else f"examine {name}"


def _likely(play: Play, at: int) -> bool:
    """Whether things of the wanted kinds belong there; lamps stand on open furniture."""
    aim, facts = play.game.aim, play.game.facts
    if aim is None:
        return True
    lamp = bool(aim.lamps) and not facts.openable >> at & 1
    return lamp if play.state.held & aim.things else lamp or bool(facts.fits[at] & aim.things)


def _closed(play: Play, at: int) -> bool:
    return bool((play.game.facts.openable & ~play.state.opened) >> at & 1)
