"""A distiller makes lessons of episodes: what helped in those that did well, what failed in those that did not.

Rule: a lesson names the episode and the turn that taught it and comes with that episode's return as its score. What is
kept of the lessons is not the distiller's to say: rates, capacity and novelty are `skills_db.rules`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import BaseModel, ConfigDict

from agents.conduct import shown
from agents.types import Episode
from skills_db.types import NewExperience
from trainers.completions import Ask

__all__ = ["Distiller", "DistillerConfig", "Lessons", "lesson"]

Lessons = list[NewExperience]


class DistillerConfig(BaseModel):
    """Settings of a distiller."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """The distiller's registry name."""


class Distiller(ABC):
    """One way to learn in words; `ask` is the policy's own voice."""

    Config: ClassVar[type[DistillerConfig]] = DistillerConfig

    def __init__(self, config: DistillerConfig, ask: Ask) -> None:
        self.config = config
        self.ask = ask

    @abstractmethod
    async def lessons(self, won: Sequence[Episode], lost: Sequence[Episode]) -> list[Lessons]:
        """The lessons of each episode, the best first: those of `won`, then those of `lost`; [] where it teaches none.

        Raises Unanswered where a model that is asked cannot be used.
        """


def lesson(episode: Episode, turn: int, advice: str, kind: Literal["skill", "failure"], level: str) -> NewExperience:
    """One lesson for what was shown before a turn."""
    situation = shown(episode)[turn].text
    return NewExperience(
        env=episode.task.env,
        situation=situation,
        advice=advice,
        kind=kind,
        score=sum(episode.rewards),
        episode=episode.id or None,
        turn=turn,
        level=level,
    )
