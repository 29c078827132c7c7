"""Skills as the policy reads them, behind the system message: MetaClaw's block (arXiv 2603.17187).

    ## Active Skills

    ### name
    _description_

    body

Rule: a skill is said whole or not at all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from skills_db.types import SkillVersionRow

__all__ = ["active_skills", "fitting"]


def active_skills(skills: Sequence[SkillVersionRow]) -> str:
    """The skills in order; "" where there is none."""
    if not skills:
        return ""
    told = [f"### {one.skill}\n_{' '.join(one.description.split())}_\n\n{one.body.strip()}" for one in skills]
    return "\n\n".join(["## Active Skills", *told])


def fitting(
    skills: Sequence[SkillVersionRow], tokens: Callable[[str], int], budget_tokens: int
) -> list[SkillVersionRow]:
    """The skills whose block is no longer than the budget, in order; one that does not fit is passed over."""
    told: list[SkillVersionRow] = []
    for one in skills:
        if tokens(active_skills([*told, one])) <= budget_tokens:
            told.append(one)
    return told
