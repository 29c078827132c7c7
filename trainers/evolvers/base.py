"""An evolver writes skills: texts that would have kept those who failed from failing.

MetaClaw (arXiv 2603.17187): S_{g+1} = S_g + E(S_g, D_g), D_g being failed episodes of generation g. Rule: a skill names
the episode that taught it, and the turn where it can. Whether it is kept is not the evolver's to say: `trainers.skills`
leaves out a name that is taken, and what taught one is support data (`trainers.query`).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import BaseModel, ConfigDict

from agents.types import Episode
from skills_db.types import NewSkill, SkillRow
from trainers.completions import Ask

__all__ = ["Evolver", "EvolverConfig"]


class EvolverConfig(BaseModel):
    """Settings of an evolver."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str
    """The evolver's registry name."""


class Evolver(ABC):
    """One way to write skills; `ask` is the policy's own voice."""

    Config: ClassVar[type[EvolverConfig]] = EvolverConfig

    def __init__(self, config: EvolverConfig, ask: Ask) -> None:
        self.config = config
        self.ask = ask

    @abstractmethod
    async def skills(self, failed: Sequence[Episode], known: Sequence[SkillRow]) -> list[NewSkill]:
        """What those who failed should have known and `known` does not say; [] where there is no such thing.

        `known` are all skills there are, retired ones too. Raises Unanswered where a model that is asked cannot be
        used.
        """
