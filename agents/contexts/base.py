"""A context: what the policy sees next is a function of what has happened so far.

A context keeps no state of its own. A prompt whose messages continue the previous prompt's begins with that prompt's
exact ids (`agents.chat`), so it costs a segment nothing; any other prompt begins a segment of its own.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from agents.chat import Chat
from agents.formats.base import Format
from agents.library import Library
from agents.types import History, Message, Prompt, Turn

__all__ = ["Context", "ContextConfig"]


class ContextConfig(BaseModel):
    """Options of a context."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Context(ABC):
    """From a history to the next prompt."""

    Config: ClassVar[type[ContextConfig]] = ContextConfig
    shows_notes: ClassVar[bool] = False
    """Whether it asks a library."""

    def __init__(
        self,
        config: ContextConfig | None = None,
        *,
        format: Format,
        library: Library | None = None,
        chat: Chat | None = None,
    ) -> None:
        self.config = config or self.Config()
        self.format = format
        self.library = library
        """Where a context that shows notes asks for them; None: there are none."""
        self.chat = chat
        """What turns prompts into the policy's tokens; None: there is no tokenizer yet, or none at all."""

    @abstractmethod
    async def prompt(self, history: History) -> Prompt:
        """What the policy sees next; `history` is read, never edited."""

    def opening(self, history: History) -> list[Message]:
        """What can be done here, and the first observation."""
        opened = history.opened
        return [
            {"role": "system", "content": self.format.system(opened)},
            {"role": "user", "content": self.format.show(opened.result.observation)},
        ]

    def continued(self, history: History) -> list[Message]:
        """The previous prompt's messages, the answer, and what came of it; the opening where no turn was played."""
        if not history.turns:
            return self.opening(history)
        last = history.turns[-1]
        return [*last.prompt.messages, answered(last), {"role": "user", "content": self.came(last)}]

    def came(self, turn: Turn) -> str:
        """What came of a turn, in the words the policy reads: an observation or a complaint."""
        return turn.reply.complaint if turn.result is None else self.format.show(turn.result.observation)


def answered(turn: Turn) -> Message:
    """A turn's answer as a message."""
    return {"role": "assistant", "content": turn.move.text}
