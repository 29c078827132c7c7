"""Skills by rules, for worlds that say what they take and what they refuse: no model is asked. Ours.

Of each failed episode, the warnings that `trainers.distillers.rules` finds in it make one skill: where the same is seen
as before the first of them, none of it is to be done. Its name is made of that command, so that who fails with the same
one again teaches nothing new; its category is the environment.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from agents.formats.base import first_line
from agents.types import Episode
from skills_db.types import NewSkill, SkillRow
from trainers.distillers.base import Lessons
from trainers.distillers.rules import Rules as Warnings
from trainers.distillers.rules import RulesConfig as WarningsConfig
from trainers.evolvers.base import Evolver, EvolverConfig

__all__ = ["Rules"]

NAME_CHARS = 64
"""As long as memory takes a name."""


class RulesConfig(EvolverConfig):
    """How much is said."""

    name: str = "rules"
    """The evolver's registry name."""
    skills: int = Field(3, ge=1)
    """Skills of an evolution at most."""
    warnings: int = Field(6, ge=1)
    """Warnings of a skill at most."""
    answer_chars: int = Field(80, ge=0)
    """What the world said is told in so many characters at most."""


class Rules(Evolver):
    """Reads what the world refused and what ended the episode."""

    Config: ClassVar[type[EvolverConfig]] = RulesConfig
    config: RulesConfig

    async def skills(self, failed: Sequence[Episode], known: Sequence[SkillRow]) -> list[NewSkill]:
        """One of each episode, as far as there are not skills of those names."""
        reader = Warnings(WarningsConfig(where_chars=0, answer_chars=self.config.answer_chars), self.ask)
        taken = {skill.name for skill in known}
        found: list[NewSkill] = []
        for lessons in await reader.lessons([], failed):
            if lessons and (skill := self._skill(lessons)).name not in taken:
                taken.add(skill.name)
                found.append(skill)
        return found[: self.config.skills]

    def _skill(self, lessons: Lessons) -> NewSkill:
        first, *others = list({one.advice: one for one in lessons}.values())[: self.config.warnings]
        words = re.findall(r"[a-z0-9]+", first.advice.partition(":")[0].lower())
        lines = [f"# Not this way\n\n**Anti-pattern**: {first.advice}", *(f"- {one.advice}" for one in others)]
        return NewSkill(
            name="-".join(["not", *words])[:NAME_CHARS].rstrip("-"),
            description=f"When you see: {first_line(first.situation)[:200]}",
            body="\n".join(lines),
            category=first.env,
            episode=first.episode,
            turn=first.turn,
        )
