"""Everything: each prompt continues the one before, so an episode is one segment."""

from __future__ import annotations

from agents.contexts.base import Context
from agents.types import History, Prompt

__all__ = ["Full"]


class Full(Context):
    """System, first observation, answer, observation, answer, ..."""

    async def prompt(self, history: History) -> Prompt:
        """The previous prompt, the answer, and what came of it."""
        return Prompt(self.continued(history))
