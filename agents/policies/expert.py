"""Asks the world's expert route, and writes what it says as a model would have to say it.

With a chat its moves carry ids: the answer tokenised with its end of turn, log-probabilities 0 (probability 1), so that
demonstrations become segments like any other episode. The server must run with `--expert`.
"""

from __future__ import annotations

from agents.policies.base import Policy, shown_move
from agents.types import History, Move, Prompt, Resigned, Turn

__all__ = ["Expert"]


class Expert(Policy):
    """A ceiling to compare with, and a teacher."""

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """The expert's next action from this state; resigns where there is none."""
        if self.world is None:
            raise RuntimeError("the policy 'expert' must be bound to a world before it acts; play it with agents.play")
        action = await self.world.expert()
        if action is None:
            raise Resigned("the expert has nothing left to play")
        return shown_move(self.format.write(action, history), prompt, last, self.chat)
