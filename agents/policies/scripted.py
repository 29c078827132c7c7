"""Says given texts in order, word for word, and resigns after the last."""

from __future__ import annotations

from agents.policies.base import Policy, PolicyConfig, said
from agents.types import History, Move, Prompt, Resigned, Turn

__all__ = ["Scripted"]


class ScriptedConfig(PolicyConfig):
    """What is said."""

    texts: tuple[str, ...] = ()
    """One answer a turn, as the format reads it."""


class Scripted(Policy):
    """Plays a script: for replays and for tests."""

    Config = ScriptedConfig
    config: ScriptedConfig

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """The script's line of this turn."""
        turn = len(history.turns)
        if turn >= len(self.config.texts):
            raise Resigned(f"the script has {len(self.config.texts)} lines")
        return said(self.config.texts[turn])
