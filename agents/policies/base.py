"""A policy: from a prompt to a move.

One policy object plays many episodes at once: `bind` gives each episode a policy of its own, which knows the world it
plays in and the seed of its draws. A policy cannot reset, and it steps a world only by what `act` returns.
"""

from __future__ import annotations

import copy
from abc import ABC, abstractmethod
from random import Random
from typing import TYPE_CHECKING, ClassVar, Self

from pydantic import BaseModel, ConfigDict

from agents.chat import Chat
from agents.formats.base import Format
from agents.types import History, Move, Prompt, Sample, Sampler, Turn

if TYPE_CHECKING:
    from envserver.client import World

__all__ = ["Policy", "PolicyConfig", "said", "shown_move"]


class PolicyConfig(BaseModel):
    """Options of a policy."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class Policy(ABC):
    """A player. All are built the same way, by name: a policy that lacks what it needs says so with ValueError."""

    Config: ClassVar[type[PolicyConfig]] = PolicyConfig

    def __init__(
        self,
        config: PolicyConfig | None = None,
        *,
        format: Format,
        chat: Chat | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        self.config = config or self.Config()
        self.format = format
        self.chat = chat
        self.sampler = sampler
        self.world: World | None = None
        """The world of the episode; None until bound."""
        self.seed: int | None = None
        """What the draws of the episode are a function of; None: they are free."""

    def bind(self, world: World, seed: int | None) -> Self:
        """The policy of one episode: a shallow copy that knows its world and its seed."""
        bound = copy.copy(self)
        bound.world = world
        bound.seed = seed
        return bound

    @abstractmethod
    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """The next move.

        Raises ContextFull where prompt and answer do not fit, Resigned where there is nothing more to play.
        """

    def rng(self, turn: int) -> Random:
        """The source of one turn's draws."""
        return Random() if self.seed is None else Random(f"{self.seed}/{turn}")


def said(text: str) -> Move:
    """The move of a policy that is no language model: a text without ids."""
    return Move(prompt_ids=[], sample=Sample(ids=[], logprobs=[], stop="stop", temperature=1.0, version=0), text=text)


def shown_move(text: str, prompt: Prompt, last: Turn | None, chat: Chat | None) -> Move:
    """The move of an expert. With a chat it carries ids: the answer with its end of turn, log-probabilities 0."""
    if chat is None:
        return said(text)
    ids = chat.answer_ids(text)
    sample = Sample(ids=ids, logprobs=[0.0] * len(ids), stop="stop", temperature=1.0, version=0)
    return Move(prompt_ids=chat.prompt_ids(prompt, last), sample=sample, text=text)
