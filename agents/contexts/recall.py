"""Everything, and with it what memory knows of this situation: strategies that helped, warnings of what failed.

SLEA-RL (arXiv 2603.18079): at each step the best k+ = 2 strategies and k- = 1 warnings of the observation's cluster, by
score; where the cluster has none, the nearest of the whole library at or above similarity 0.85; at most 200 tokens.
The paper puts notes into the system message; its code puts them before the observation. Where they stand and how long
they stay decides what a turn costs, with P tokens of prompt, M of notes and O of what came last:

    observation, kept       M + O read a turn; the notes of every turn stay in the prompt
    observation, replaced   M + 2 O + the last answer; every turn is a segment of its own, read again in training
    system, kept            M + O + P read where new notes are found, else O; every note stays
    system, replaced        M + O + P read where the notes differ from the last turn's, else O

The static baselines: `retrieval = "task"` asks once, for the first observation; "random" shows any notes; "none" shows
none. Ours: a note is shown whole or not at all, and kept notes are not said twice. Without a library it is `full`.

MetaClaw (arXiv 2603.17187): the system message has skills, chosen by the first observation. They stay as they were
given for the whole episode, so that the prompt continues, and so does their generation.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal

from pydantic import Field

from agents.contexts.base import Context, ContextConfig, answered
from agents.skills import active_skills, fitting
from agents.types import History, Message, Prompt
from skills_db.types import Hit, SkillVersionRow

__all__ = ["Recall", "block"]

HEADINGS = {"skill": "What helped here before:", "failure": "What failed here before:"}


class RecallConfig(ContextConfig):
    """Which notes and skills are shown, and where."""

    retrieval: Literal["step", "task", "random", "none"] = "step"
    """For every observation, once for the first one, any notes every turn, or none."""
    strategies: int = Field(default=2, ge=0)
    """k+: strategies of a turn at most."""
    warnings: int = Field(default=1, ge=0)
    """k-: warnings of a turn at most."""
    budget_tokens: int = Field(default=200, ge=0)
    """The notes of a turn, headings included, are at most so long."""
    similarity: float = Field(default=0.85, ge=-1, le=1)
    """Least cosine similarity of a note's situation where the cluster has none; -1 takes the nearest however far."""
    place: Literal["system", "observation"] = "system"
    """Behind the system message, the paper's; or before what came last, its code's."""
    stay: Literal["replaced", "kept"] = "replaced"
    """Whether a prompt holds its own turn's notes alone, or those of the turns before too."""
    skills: int = Field(default=0, ge=0)
    """General skills of an episode at most, MetaClaw's has 6; those for its environment and situation, and of common
    mistakes, come on top. 0: no skills."""
    skills_match: Literal["template", "embedding"] = "template"
    """How skills are chosen: by category and words, or by the cosine of texts."""
    skills_tokens: int = Field(default=1000, ge=0)
    """The block of skills is at most so long."""


class Recall(Context):
    """The whole history with notes and skills."""

    Config = RecallConfig
    config: RecallConfig
    shows_notes = True

    async def prompt(self, history: History) -> Prompt:
        """The history, the skills that the episode began with, and the notes that are found for this moment."""
        kept = self.config.stay == "kept"
        generation, skills = await self._skills(history)
        found = await self._found(history)
        in_sight = {id for turn in history.turns for id in turn.prompt.used} if kept else set()
        told = self._fitting([hit for hit in found if hit.id not in in_sight])
        used = tuple(hit.id for hit in found if hit.id in in_sight or hit in told)
        messages = self.continued(history) if kept else self._plain(history)
        if skills and not (kept and history.turns):
            messages = _behind_system(messages, active_skills(skills))
        if told and self.library is not None:
            notes = block(told)
            messages = self._with(messages, notes)
            self.library.asked.told_tokens += self.library.tokens(notes)
        return Prompt(messages, used=used, skills=tuple(one.digest for one in skills), generation=generation)

    async def _skills(self, history: History) -> tuple[int, list[SkillVersionRow]]:
        """The skills of the episode and their generation, as they were when it began."""
        config, library = self.config, self.library
        if library is None:
            return 0, []
        if history.turns:
            first = history.turns[0].prompt
            return first.generation, library.given(first.skills)
        if not config.skills:
            return library.generation, []
        asked = history.opened.result.observation.text
        generation, found = await library.skills(asked, limit=config.skills, match=config.skills_match)
        told = fitting(found, library.tokens, config.skills_tokens)
        library.asked.skill_tokens += library.tokens(active_skills(told)) if told else 0
        return generation, told

    async def _found(self, history: History) -> Sequence[Hit]:
        config, library = self.config, self.library
        if library is None or config.retrieval == "none":
            return []
        counts = {"skills": config.strategies, "failures": config.warnings}
        if config.retrieval == "random":
            task = history.task
            return await library.any(f"{task.key}/{task.seed}/{len(history.turns)}", **counts)
        first = history.opened.result.observation
        now = first if config.retrieval == "task" else history.observation
        hits = await library.near(now.text, **counts)
        # Vectors are kept as float16.
        return [hit for hit in hits if hit.match == "cluster" or 1 - hit.distance >= config.similarity - 1e-3]

    def _fitting(self, hits: Sequence[Hit]) -> list[Hit]:
        """The notes that fit the budget together, in order; one that does not fit is passed over."""
        told: list[Hit] = []
        for hit in hits:
            if self.library is not None and self.library.tokens(block([*told, hit])) <= self.config.budget_tokens:
                told.append(hit)
        return told

    def _with(self, messages: Sequence[Message], notes: str) -> list[Message]:
        if self.config.place == "system":
            return _behind_system(messages, notes)
        *rest, last = messages
        return [*rest, {"role": last["role"], "content": f"{notes}\n\n{last['content']}"}]

    def _plain(self, history: History) -> list[Message]:
        """The history without any notes."""
        messages = self.continued(History(history.task, history.opened))
        for turn in history.turns:
            messages += [answered(turn), {"role": "user", "content": self.came(turn)}]
        return messages


def _behind_system(messages: Sequence[Message], text: str) -> list[Message]:
    system, *rest = messages
    return [{"role": "system", "content": f"{system['content']}\n\n{text}"}, *rest]


def block(hits: Collection[Hit]) -> str:
    """Notes as the policy reads them, strategies first."""
    parts: list[str] = []
    for kind, heading in HEADINGS.items():
        if lines := [f"- {' '.join(hit.advice.split())}" for hit in hits if hit.kind == kind]:
            parts.append("\n".join([heading, *lines]))
    return "\n".join(parts)
