"""A shaper turns the raw rewards of one episode into shaped ones; shapers are piped in the order of the config."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from agents.types import Episode

__all__ = ["Shaper", "ShaperConfig"]


class ShaperConfig(BaseModel):
    """Settings of a shaper."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """The shaper's registry name."""


class Shaper(ABC):
    """One idea about reward."""

    Config: ClassVar[type[ShaperConfig]] = ShaperConfig

    def __init__(self, config: ShaperConfig) -> None:
        self.config = config

    @abstractmethod
    def shape(self, episode: Episode, rewards: list[float]) -> list[float]:
        """(T,) -> (T,): the reward of each turn."""

    async def shaped(self, episode: Episode, rewards: list[float]) -> list[float]:
        """(T,) -> (T,): the same, for a shaper that has to ask somebody first."""
        return self.shape(episode, rewards)
