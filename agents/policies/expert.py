"""Asks the world's expert route, and writes what it says as a model would have to say it.

With a chat its moves carry ids: the answer tokenised with its end of turn, log-probabilities 0 (probability 1), so that
demonstrations become segments like any other episode. The server must run with `--expert`.

Where a summary is asked for it writes a recap. The action that the context dropped for it is done once more, where it
can still be said, as what came of it was not seen: that suits worlds in which reading again does no harm, and costs a
step in others.
"""

from __future__ import annotations

from pydantic import Field

from agents.formats.base import Format
from agents.policies.base import Policy, PolicyConfig, shown_move
from agents.recap import Rule, recap
from agents.types import History, Move, Prompt, Resigned, Turn
from envserver.schema import Action

__all__ = ["Expert", "ExpertConfig"]


class ExpertConfig(PolicyConfig):
    """How it sums up."""

    recap: Rule = "lines"
    """What it writes where a summary is asked for, see `agents/recap.py`."""
    careless: float = Field(default=0.0, ge=0, lt=1)
    """Share of its summaries that say what came back last and nothing else."""


class Expert(Policy):
    """A ceiling to compare with, and a teacher."""

    Config = ExpertConfig
    config: ExpertConfig

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """The expert's next action from this state; resigns where there is none."""
        if self.world is None:
            raise RuntimeError("the policy 'expert' must be bound to a world before it acts; play it with agents.play")
        if prompt.kind == "summary":
            careless = self.rng(len(history.turns)).random() < self.config.careless
            rule: Rule = "last" if careless else self.config.recap
            return shown_move(recap(rule, prompt, history), prompt, last, self.chat)
        action = _unseen(self.format, history) or await self.world.expert()
        if action is None:
            raise Resigned("the expert has nothing left to play")
        return shown_move(self.format.write(action, history), prompt, last, self.chat)


def _unseen(format: Format, history: History) -> Action | None:
    """The action that was dropped for the summary just written; None where there is none, or no words for it by now."""
    if len(history.turns) < 2 or not history.turns[-1].prompt.drops_last:
        return None
    action = history.turns[-2].reply.action
    try:
        return action if action is not None and format.write(action, history) else None
    except ValueError:
        return None
