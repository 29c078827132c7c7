"""The expert, but now and then it plays what the world does not accept, and then goes on.

An oracle makes no mistakes, so its demonstrations hold none to recover from. A slip is a command that was shown earlier
in the episode and is not shown now, else the expert's next command without its last word. The first turn is no slip,
and where the format has no words for one (`choice` knows only shown commands), the expert's action is played.
"""

from __future__ import annotations

from pydantic import Field

from agents.policies.base import PolicyConfig, shown_move
from agents.policies.expert import Expert
from agents.types import History, Move, Prompt, Turn
from envserver.schema import Action

__all__ = ["Slipping"]


class SlippingConfig(PolicyConfig):
    """How often."""

    rate: float = Field(default=0.1, ge=0, lt=1)
    """Share of the turns, but the first, that are slips."""


class Slipping(Expert):
    """A teacher who shows how to mend a mistake."""

    Config = SlippingConfig
    config: SlippingConfig

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """The expert's next action, or a slip."""
        move = await super().act(prompt, last, history)
        rng = self.rng(len(history.turns))
        if not history.turns or rng.random() >= self.config.rate:
            return move
        wrong = _slips(history, self.format.parse(move.text, history).action)
        if not wrong:
            return move
        try:
            text = self.format.write(Action(text=rng.choice(wrong)), history)
        except ValueError:
            return move
        return shown_move(text, prompt, last, self.chat)


def _slips(history: History, right: Action | None) -> list[str]:
    """Commands that were shown earlier and are not shown now, else the right one cut short."""
    now = history.observation.choices
    results = [history.opened.result, *(turn.result for turn in history.turns if turn.result is not None)]
    gone = {command for result in results for command in result.observation.choices} - set(now)
    if not gone and right is not None and " " in right.text:
        gone = {right.text.rpartition(" ")[0]} - set(now)
    return sorted(gone)
