"""Draws uniformly from the commands shown; in a free-form world, two words of what it sees."""

from __future__ import annotations

import re

from agents.policies.base import Policy, said
from agents.types import History, Move, Prompt, Turn
from envserver.schema import Action

__all__ = ["Random"]


class Random(Policy):
    """A floor to compare with."""

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """One command, written in the format."""
        rng = self.rng(len(history.turns))
        observation = history.observation
        if observation.choices:
            text = rng.choice(observation.choices)
        else:
            words = re.findall(r"\w+", observation.text) or ["look"]
            text = " ".join(rng.choices(words, k=2))
        return said(self.format.write(Action(text=text), history))
