"""The package's handcoded expert: heuristics that search room by room, sometimes in vain.

It plays games of 0.4's words. Its chance comes from a seeded generator of its own: games are played again alike.
"""

from __future__ import annotations

import random
from typing import Any, Protocol

from alfworld.agents.expert import HandCodedTWAgent, handcoded_expert
from alfworld.gen import constants

from envserver.envs._alfworld.row import Row

__all__ = ["Handcoded"]

MAX_STEPS = 200
"""Steps after which it gives up, as in the package."""


class Seen(Protocol):
    """The package's game state, as far as the expert reads it."""

    feedback: str

    def __getitem__(self, name: str) -> Any: ...


class Handcoded:
    """The expert in one play, told of every step of it."""

    def __init__(self, row: Row, seed: int = 0) -> None:
        agent = HandCodedTWAgent(max_steps=MAX_STEPS)
        # What its `reset` reads from the file that lies beside a game file.
        agent.task_params = {
            name: value.lower() if isinstance(value, str) and value in constants.OBJECTS else value
            for name, value in {**row.params, "task_type": row.task_type}.items()
        }
        agent.policy = agent.get_task_policy(agent.task_params)(agent.task_params, max_steps=MAX_STEPS)
        self._agent = agent
        self._random = random.Random(seed)
        self.hint: str | None = "look"
        """Its next command; None once it has given up."""

    def opened(self, state: Seen) -> None:
        """See the opening."""
        self._agent.observe(state.feedback)

    def stepped(self, state: Seen, command: str) -> None:
        """See a step."""
        if self.hint is None:
            return
        shared = handcoded_expert.random
        handcoded_expert.random = self._random
        try:
            command = self._agent.act(state, 0, state["won"], command)
            self.hint = command if command in state["admissible_commands"] else "look"
        except Exception:
            # It raises whatever it trips over: a name of its own when it runs out of steps, an IndexError, a KeyError.
            self.hint = None
        finally:
            handcoded_expert.random = shared
