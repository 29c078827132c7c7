"""ALFWorld played by the package itself: textworld's PddlEnv with alfworld's wrappers, beside which ours is measured.

For a process of its own, and one thread in it: the package keeps its state in globals and in a C library of which each
play needs a copy of its own, 4 MB, that `close` leaves to the next play. Translated problems are kept up to a bound.
"""

from __future__ import annotations

from typing import Any, Literal

from alfworld.agents.environment.alfred_tw_env import AlfredDemangler, AlfredInfos
from textworld import EnvInfos
from textworld.envs import PddlEnv

from envserver.envs._alfworld import stock_speed
from envserver.envs._alfworld.oracle import plan
from envserver.envs._alfworld.play import Game, Play
from envserver.envs._alfworld.row import Dialect, GameUnreadable, Row
from envserver.envs._alfworld.stock_expert import Handcoded
from envserver.envs._alfworld.stock_words import GOAL, domain_and_grammar

__all__ = ["StockPlay"]


class StockPlay:
    """One playing of a game by the package, with the face of `Play`."""

    def __init__(
        self,
        row: Row,
        dialect: Dialect = "0.4",
        expert: Literal["oracle", "handcoded"] = "oracle",
        *,
        task: str | None = None,
        seed: int = 0,
    ) -> None:
        """Raises GameUnreadable for a game that cannot be played, ValueError for an expert without the words."""
        if expert == "handcoded" and dialect != "0.4":
            raise ValueError("the handcoded expert knows the words of dialect 0.4 only; choose that, or the oracle")
        self.shadow = Play(Game.load(row, dialect), task)
        """The same play by our own engine: what the oracle plans from."""
        self._args = (row, dialect, expert)
        self._task = task or row.task
        self._seed = seed
        self._played: list[str] = []
        self._library: Any = None
        self._expert = Handcoded(row, seed) if expert == "handcoded" else None
        stock_speed.install()
        domain, grammar = domain_and_grammar(dialect)
        game = {"pddl_domain": domain, "grammar": grammar, "pddl_problem": row.problem}
        try:
            engine = PddlEnv(EnvInfos(won=True, admissible_commands=True, facts=self._expert is not None))
            self._library = engine.downward_lib
            self._env = AlfredInfos(AlfredDemangler(engine, shuffle=False))
            self._env.load(game)
            self._state = self._env.reset()
        except (Exception, SystemExit) as error:
            self.close()
            raise GameUnreadable(f"the package cannot load the game: {type(error).__name__}: {error!s:.200}") from error
        self.text: str = self._state.feedback.replace(GOAL, self._task)
        self.moved = False
        if self._expert is not None:
            self._expert.opened(self._state)

    @property
    def won(self) -> bool:
        return bool(self._state["won"])

    @property
    def reward(self) -> float:
        """The package's score of the last step, 1 in a state that is won; the opening has none."""
        return float(self._state.get("score") or 0)

    def admissible(self) -> tuple[str, ...]:
        return tuple(self._state["admissible_commands"])

    def step(self, command: str) -> str:
        self.moved = command.strip() in self._state["_valid_commands"]
        self._state, _, _ = self._env.step(command)
        self._played.append(command)
        self.shadow.step(command)
        self.text = str(self._state.feedback)
        if self._expert is not None:
            self._expert.stepped(self._state, command)
        return self.text

    def expert(self) -> str | None:
        """The chosen expert's next command; None where it knows none."""
        if self._expert is not None:
            return self._expert.hint
        ahead = plan(self.shadow)
        return ahead[0] if ahead else None

    def copy(self) -> StockPlay:
        """The same play once more, played again from its opening: hundreds of milliseconds."""
        twin = StockPlay(*self._args, task=self._task, seed=self._seed)
        for command in self._played:
            twin.step(command)
        return twin

    def close(self) -> None:
        """Leave the library to another play; nothing more can be played here."""
        library, self._library = self._library, None
        if library is not None:
            stock_speed.give_back(library)
