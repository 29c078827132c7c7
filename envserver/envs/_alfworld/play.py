"""ALFWorld played natively: the ALFRED domain's thirteen actions and their texts, what is possible, the goal.

A game is read once and shared by its sessions; a play is a state and a few references, so that a copy costs
microseconds. Texts, lists and their order are those of the package's own engine, byte for byte.
"""

from __future__ import annotations

from typing import Self

from envserver.envs._alfworld.aim import aim
from envserver.envs._alfworld.deeds import CHANGES, Deed, done, possible
from envserver.envs._alfworld.facts import number
from envserver.envs._alfworld.formula import Formula
from envserver.envs._alfworld.grammar import DIALECTS, HELP, NOTHING, condition, listed, named
from envserver.envs._alfworld.problem import read
from envserver.envs._alfworld.row import Dialect, Row
from envserver.envs._alfworld.state import State, members

__all__ = ["Game", "Play"]

WELCOME = "-= Welcome to TextWorld, ALFRED! =-"
MIDDLE = "You are in the middle of a room. Looking quickly around you, you see"


class Game:
    """What all plays of a game share; nothing of it changes."""

    @classmethod
    def load(cls, row: Row, dialect: Dialect = "0.4") -> Self:
        """The game of a row. Raises GameUnreadable."""
        return cls(row, dialect)

    def __init__(self, row: Row, dialect: Dialect) -> None:
        problem = read(row.problem)
        self.id, self.task, self.task_type = row.id, row.task, row.task_type
        self.words = DIALECTS[dialect]
        self.facts, self.start = number(problem)
        self.goal = Formula.of(problem.goal, problem, self.facts)
        self.tested = frozenset(verb for verb, changed in CHANGES.items() if changed & self.goal.touches)
        """Verbs after which the goal is asked again."""
        self.won = self.goal(self.start)
        """Whether the game is won before the first step."""
        self.aim = aim(problem, self.facts)
        names = named({one for many in problem.facts.values() for arguments in many for one in arguments})
        self.objects = tuple(names[one] for one in self.facts.objects)
        self.receptacles = tuple(names[one] for one in self.facts.receptacles)
        self.places = tuple(names[one] for one in self.facts.locations)
        self.goes = {
            f"go to {self.receptacles[at]}": Deed("go", at) for at, home in enumerate(self.facts.home) if home >= 0
        }
        self.plain = {command: Deed(command) for command in self.words.plain}
        self._fixed: dict[int, tuple[str, ...]] = {}

    def fixed(self, at: int) -> tuple[str, ...]:
        """Commands that are possible at a location whatever the state, sorted."""
        found = self._fixed.get(at)
        if found is None:
            home = self.facts.home
            goes = (command for command, deed in self.goes.items() if home[deed.what] != at)
            found = self._fixed[at] = tuple(sorted((*goes, *self.plain)))
        return found

    def possible(self, state: State) -> dict[str, Deed]:
        """The commands that are possible now and not `fixed`."""
        return possible(self.facts, state, self.objects, self.receptacles, self.words.put)

    def command(self, deed: Deed) -> str:
        """How a deed is ordered that is no look at something."""
        verb, what, where = deed
        if verb == "go":
            return f"go to {self.receptacles[what]}"
        if verb in ("open", "close"):
            return f"{verb} {self.receptacles[what]}"
        name = self.objects[what]
        if verb == "use":
            return f"use {name}"
        if verb == "put":
            return self.words.put.format(name, self.receptacles[where])
        if verb == "take":
            return f"take {name} from {self.receptacles[where]}"
        return f"{verb} {name} with {self.objects[where] if verb == 'slice' else self.receptacles[where]}"


class Play:
    """One playing of a game; the goal's sentence may be another than the game's."""

    __slots__ = ("_admissible", "_possible", "game", "moved", "state", "text", "won")

    def __init__(self, game: Game, task: str | None = None) -> None:
        self.game = game
        self.state = game.start
        """All that the future depends on: plays of a game in equal states go on equally."""
        self.won = game.won
        self.moved = False
        """Whether the last command was possible."""
        self._possible: dict[str, Deed] | None = None
        self._admissible: tuple[str, ...] | None = None
        self.text = f"{WELCOME}\n\n{self._looked(game.start, opening=True)}\n\nYour task is to: {task or game.task}."
        """What the game said last, the opening at first."""

    def copy(self) -> Play:
        """The same play once more, to be played on its own."""
        twin: Play = object.__new__(Play)
        twin.game, twin.state, twin.won, twin.moved, twin.text = self.game, self.state, self.won, self.moved, self.text
        twin._possible, twin._admissible = self._possible, self._admissible
        return twin

    def admissible(self) -> tuple[str, ...]:
        """The commands that are possible now, sorted."""
        if self._admissible is None:
            self._admissible = tuple(sorted((*self.game.fixed(self.state.at), *self._now())))
        return self._admissible

    def step(self, command: str) -> str:
        """Carry out a command and say what came of it; what is not possible changes nothing."""
        deed = self._meant(command.strip())
        self.moved = deed is not None
        if deed is None:
            self.text = NOTHING
            return NOTHING
        self.do(deed)
        self.text = self._said(deed)
        return self.text

    def do(self, deed: Deed) -> None:
        """Change the state as a possible deed does."""
        if deed.verb in CHANGES:
            self.state = done(self.game.facts, self.state, deed)
            self._possible = self._admissible = None
            if deed.verb in self.game.tested:
                self.won = self.game.goal(self.state)

    def _now(self) -> dict[str, Deed]:
        if self._possible is None:
            self._possible = self.game.possible(self.state)
        return self._possible

    def _meant(self, command: str) -> Deed | None:
        game = self.game
        go = game.goes.get(command)
        if go is not None:
            return go if game.facts.home[go.what] != self.state.at else None
        return game.plain.get(command) or self._now().get(command)

    def _said(self, deed: Deed) -> str:
        game, state = self.game, self.state
        verb, what, where = deed
        if verb == "go":
            place = game.places[state.at] if game.words.arrives_at_location else game.receptacles[what]
            return f"You arrive at {place}. {self._faced(what)}"
        if verb == "look":
            return self._looked(state)
        if verb == "inventory":
            if not state.busy:
                return "You are not carrying anything."
            return f"You are carrying: {self._things(state.held)}."
        if verb == "help":
            return HELP
        if verb == "open":
            return f"You open the {game.receptacles[what]}. {self._faced(what)}"
        if verb == "close":
            return f"You close the {game.receptacles[what]}."
        if verb == "face":
            return self._faced(what)
        if verb == "examine":
            return self._examined(what)
        name = game.objects[what]
        if verb == "use":
            return f"You turn on the {name}."
        if verb == "slice":
            return f"You sliced the {name} with the {game.objects[where]}."
        holder = game.receptacles[where]
        if verb == "take":
            return f"You pick up the {name} from the {holder}."
        if verb == "put":
            return game.words.was_put.format(name, holder)
        return f"You {verb} the {name} using the {holder}."

    def _things(self, many: int) -> str:
        objects = self.game.objects
        return listed([f"a {objects[one]}" for one in members(many)])

    def _faced(self, at: int) -> str:
        name, state = self.game.receptacles[at], self.state
        if not self.game.facts.openable >> at & 1:
            return f"On the {name}, you see {self._things(state.contents[at])}."
        if state.opened >> at & 1:
            return f"The {name} is open. In it, you see {self._things(state.contents[at])}."
        return f"The {name} is closed."

    def _looked(self, state: State, *, opening: bool = False) -> str:
        game = self.game
        here = game.facts.here[state.at]
        if here:
            faced = listed([game.receptacles[at] for at in here])
            objects = game.objects
            beside = [
                f"a {objects[one]}" for one in members(state.near[state.at]) for at in here if state.gone[at] >> one & 1
            ]
            return f"You are facing the {faced}. Next to it, you see {listed(beside)}."
        # The rule that lists the room is bound to where the agent stands, but for the opening.
        seen = [f"a {game.receptacles[at]}" for at, home in enumerate(game.facts.home) if home >= 0 and opening]
        return f"{MIDDLE} {listed(seen)}."

    def _examined(self, what: int) -> str:
        game, state = self.game, self.state
        name, one = game.objects[what], 1 << what
        if game.facts.vessels & one:
            inner = listed([f"a {game.objects[thing]}" for thing in game.facts.inside.get(what, ())])
            return f"This is a normal {name}. In it, you see {inner}."
        return condition(
            name,
            clean=bool(state.clean & one),
            hot=bool(state.hot & one),
            cool=bool(state.cool & one),
            sliced=bool(state.sliced & one),
            toggled=bool(game.facts.toggleable & state.toggled & one),
        )
