"""A language model behind a sampler: prompt to ids, ids to a sample, sample to text."""

from __future__ import annotations

from pydantic import Field

from agents.chat import Chat
from agents.formats.base import Format
from agents.policies.base import Policy, PolicyConfig
from agents.types import History, Move, Prompt, Sampler, Turn

__all__ = ["Llm"]


class LlmConfig(PolicyConfig):
    """How a language model is sampled."""

    max_tokens: int = Field(default=64, ge=1)
    """Most tokens of one answer; an answer that is cut there is read as it stands."""
    temperature: float = Field(default=1.0, ge=0.0)
    """0 is greedy."""


class Llm(Policy):
    """Samples its answers."""

    Config = LlmConfig
    config: LlmConfig

    def __init__(
        self,
        config: LlmConfig | None = None,
        *,
        format: Format,
        chat: Chat | None = None,
        sampler: Sampler | None = None,
    ) -> None:
        super().__init__(config, format=format, chat=chat, sampler=sampler)
        if chat is None or sampler is None:
            raise ValueError("the policy 'llm' needs a chat and a sampler")
        self.chat: Chat = chat
        self.sampler: Sampler = sampler

    async def act(self, prompt: Prompt, last: Turn | None, history: History) -> Move:
        """One sampled answer."""
        prompt_ids = self.chat.prompt_ids(prompt, last)
        seed = None if self.seed is None else self.rng(len(history.turns)).getrandbits(63)
        sample = await self.sampler.sample(
            prompt_ids, max_tokens=self.config.max_tokens, temperature=self.config.temperature, seed=seed
        )
        return Move(prompt_ids=prompt_ids, sample=sample, text=self.chat.answer_text(sample.ids))
