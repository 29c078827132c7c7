"""The task and the best turns so far, each with what came of it: sequential test-time scaling.

Dr. Kernel (arXiv 2602.05885): a policy that learned in three turns goes on for many more where its prompt holds the
four turns with the highest reward, not all of them. Its released code keeps the best run of four successive turns.
Ours: the best turns one by one, told in the order in which they were played; among equals the later one. The reward is
the world's of that turn alone; an answer that could not be read has 0. Until there are more turns than `keep` the
prompts are those of `full`; from then on each is rendered afresh and begins a segment of its own.
"""

from __future__ import annotations

from pydantic import Field

from agents.contexts.base import Context, ContextConfig, answered
from agents.types import History, Prompt, Turn

__all__ = ["Best"]


class BestConfig(ContextConfig):
    """What is kept."""

    keep: int = Field(default=4, ge=0)
    """Turns that are shown; 0 shows the task alone."""


class Best(Context):
    """System, first observation, then the best turns."""

    Config = BestConfig
    config: BestConfig

    async def prompt(self, history: History) -> Prompt:
        """The task, and the best turns in their order."""
        turns = history.turns
        if len(turns) <= self.config.keep:
            return Prompt(self.continued(history))
        ranked = sorted(range(len(turns)), key=lambda at: (_reward(turns[at]), at), reverse=True)
        messages = self.opening(history)
        for at in sorted(ranked[: self.config.keep]):
            messages += [answered(turns[at]), {"role": "user", "content": self.came(turns[at])}]
        return Prompt(messages)


def _reward(turn: Turn) -> float:
    return turn.result.reward if turn.result is not None else 0.0
