"""Soft overlong punishment: DAPO (arXiv 2503.14476), section 3.4.

    0                              if |y| <= limit - cache
    ((limit - cache) - |y|) / cache   up to limit
    -1                             beyond

The paper's: the formula, limit 20,480 tokens of which 4,096 are the cache.
Ours: |y| counts all tokens sampled in the episode, and the punishment is added to its last turn's reward. Set
`limit_tokens` to what your episodes may sample: the defaults are far beyond a small model's context.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from agents.types import Episode
from trainers.shapers.base import Shaper, ShaperConfig

__all__ = ["Overlong"]


class OverlongConfig(ShaperConfig):
    """Settings of the soft overlong punishment."""

    name: str = "overlong"
    """The shaper's registry name."""
    limit_tokens: int = Field(20_480, gt=0)
    """Sampled tokens of an episode from which on the punishment is -1."""
    cache_tokens: int = Field(4_096, gt=0)
    """Sampled tokens below the limit over which the punishment grows from 0 to -1."""

    @model_validator(mode="after")
    def _fits(self) -> OverlongConfig:
        if self.cache_tokens > self.limit_tokens:
            raise ValueError(f"cache_tokens = {self.cache_tokens} is more than limit_tokens = {self.limit_tokens}")
        return self


class Overlong(Shaper):
    """Takes up to 1 off the last reward of an episode that sampled too much."""

    Config: ClassVar[type[ShaperConfig]] = OverlongConfig
    config: OverlongConfig

    def shape(self, episode: Episode, rewards: list[float]) -> list[float]:
        """(T,) -> (T,): the last reward less the punishment."""
        if not rewards:
            return rewards
        sampled = sum(len(turn.move.sample.ids) for turn in episode.turns)
        free = self.config.limit_tokens - self.config.cache_tokens
        punishment = min(max((free - sampled) / self.config.cache_tokens, -1.0), 0.0)
        return [*rewards[:-1], rewards[-1] + punishment]
