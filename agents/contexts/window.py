"""The last few turns; what was dropped is left out or told in one line a turn.

Until the window is full the prompts are those of `full`. From then on each prompt is rendered afresh and begins a
segment of its own: a turn is trained in one segment and read in up to `turns` more.
"""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from agents.contexts.base import Context, ContextConfig, answered
from agents.formats.base import spoken
from agents.types import History, Message, Prompt, Turn
from envserver.schema import Observation

__all__ = ["Window"]


class WindowConfig(ContextConfig):
    """What is kept."""

    turns: int = Field(default=4, ge=0)
    """Past turns shown in full; 0 shows what the world shows and no past."""
    dropped: Literal["nothing", "actions"] = "actions"
    """What is told of older turns: nothing, or one line a turn with its action."""
    keep_first: bool = True
    """Whether the first observation's text, where a task is often stated, stays in sight."""


class Window(Context):
    """System, then one message that leads up to the kept turns, then those turns."""

    Config = WindowConfig
    config: WindowConfig

    async def prompt(self, history: History) -> Prompt:
        """The kept turns behind a message that says what came before."""
        start = len(history.turns) - self.config.turns
        if start <= 0:
            return Prompt(self.continued(history))
        messages: list[Message] = [
            {"role": "system", "content": self.format.system(history.opened)},
            {"role": "user", "content": self._before(history, start)},
        ]
        for turn in history.turns[start:]:
            messages.append(answered(turn))
            messages.append({"role": "user", "content": self.came(turn)})
        return Prompt(messages)

    def _before(self, history: History, start: int) -> str:
        """What the policy must know before turn `start`: the first and the standing observation, and what it did."""
        dropped = history.turns[:start]
        first = history.opened.result.observation
        standing = History(history.task, history.opened, dropped).observation
        parts: list[str] = []
        if self.config.keep_first and standing is not first:
            # Commands of the first moment are no longer accepted; only its text is worth keeping.
            parts.append(self.format.show(Observation(text=first.text)))
        if self.config.dropped == "actions":
            parts.append("\n".join(_told(turn) for turn in dropped))
        parts.append(self.format.show(standing))
        if dropped[-1].result is None:
            parts.append(self.came(dropped[-1]))
        return "\n\n".join(parts)


def _told(turn: Turn) -> str:
    return "You gave no valid answer." if turn.reply.action is None else f"You did: {spoken(turn.reply.action)}"
