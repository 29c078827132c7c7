"""Skills by a language model: the policy itself, or any OpenAI-compatible `/chat/completions`.

MetaClaw (arXiv 2603.17187) asks a model once for all failures: of each the last 600 characters of what it saw and the
first 500 of what it said; and it is told which names are taken. The answer is a JSON list of 1 to 3 skills, each with a
slug for a name (`dyn-001` where it is none), when to use it in a sentence, 6 to 15 lines of Markdown with an
anti-pattern, and a category. Its prompt is not published with the paper; this one is ours, and so is that an episode is
shown with its last turns, and that each skill names the episode and the turn it is from. What is no such list is asked
for again, and after `tries` times left out.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from itertools import count
from typing import ClassVar

from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from agents.conduct import shown
from agents.types import Episode, Message
from skills_db.errors import BadRecord
from skills_db.skills import check_name
from skills_db.types import NewSkill, SkillRow
from trainers.completions import Ask, CompletionsConfig, voice
from trainers.evolvers.base import Evolver, EvolverConfig

__all__ = ["Llm"]

CATEGORIES = (
    "general",
    "common_mistakes",
    "coding",
    "research",
    "data_analysis",
    "productivity",
    "security",
    "communication",
    "automation",
    "agentic",
)
"""MetaClaw's."""

NAMES = 200
"""Names of skills that a model is told at most: those for the environments of the failures first."""


class LlmConfig(EvolverConfig, CompletionsConfig):
    """Who is asked, and for what."""

    name: str = "llm"
    """The evolver's registry name."""
    url: str = ""
    """Address of the API; `/chat/completions` is put behind it. Empty: the policy is asked, with its own weights."""
    max_tokens: int = Field(3000, ge=1)
    """Tokens of an answer at most, where the policy is asked; its context must hold them beside the question."""
    skills: int = Field(3, ge=1)
    """Skills of an evolution at most."""
    turns: int = Field(6, ge=1)
    """Last turns of an episode that are shown."""
    seen_chars: int = Field(600, ge=1)
    """Of what was seen before a turn, the last so many characters are shown."""
    said_chars: int = Field(500, ge=1)
    """Of what was said in a turn, the first so many."""
    description_chars: int = Field(300, ge=1, le=1024)
    """Longer descriptions are not taken."""
    body_chars: int = Field(2000, ge=1)
    """Longer texts are not taken."""
    categories: tuple[str, ...] = CATEGORIES
    """Where a skill may apply, beside the environments of those who failed; another category becomes `general`."""


class _Offered(BaseModel):
    """One skill as a model gives it."""

    name: str = ""
    description: str
    content: str
    category: str = "general"
    episode: int
    turn: int | None = None


_LIST: TypeAdapter[list[_Offered]] = TypeAdapter(list[_Offered])


class Llm(Evolver):
    """Asks once for all failures."""

    Config: ClassVar[type[EvolverConfig]] = LlmConfig
    config: LlmConfig

    async def skills(self, failed: Sequence[Episode], known: Sequence[SkillRow]) -> list[NewSkill]:
        """What the model offers. Raises Unanswered where the endpoint refuses or does not answer."""
        failed = [episode for episode in failed if episode.turns]
        if not failed:
            return []
        async with voice(self.config, self.ask, "skills.evolver.url") as ask:
            return await self._asked(ask, failed, known)

    async def _asked(self, ask: Ask, failed: Sequence[Episode], known: Sequence[SkillRow]) -> list[NewSkill]:
        envs = list(dict.fromkeys(episode.task.env for episode in failed))
        categories = list(dict.fromkeys([*envs, *self.config.categories]))
        told = "\n\n".join(self._told(number, episode) for number, episode in enumerate(failed, 1))
        near = sorted(known, key=lambda skill: (skill.category not in envs, skill.name))[:NAMES]
        names = ", ".join(sorted(skill.name for skill in near)) or "none"
        taken = {skill.name for skill in known}
        messages: list[Message] = [
            {"role": "system", "content": _system(self.config.skills, categories)},
            {"role": "user", "content": f"{told}\n\nSkills there are: {names}."},
        ]
        for attempt in range(self.config.tries):
            text = await ask(messages, self.config.temperature + 0.3 * attempt, self.config.max_tokens)
            if (found := self._read(text, failed, taken, categories)) is not None:
                return found
        return []

    def _read(
        self, text: str, failed: Sequence[Episode], taken: Collection[str], categories: Collection[str]
    ) -> list[NewSkill] | None:
        """The skills in an answer; None where it is no list of them."""
        start, end = text.find("["), text.rfind("]")
        try:
            offered = _LIST.validate_json(text[start : end + 1] if 0 <= start < end else "")
        except (ValidationError, RecursionError):
            return None
        if not all(self._fits(one, failed) for one in offered):
            return None
        offered = offered[: self.config.skills]
        numbered = _numbered({*taken, *(one.name for one in offered)})
        return [
            NewSkill(
                name=one.name if _is_name(one.name) else next(numbered),
                description=" ".join(one.description.split()),
                body=one.content,
                category=one.category if one.category in categories else "general",
                episode=failed[one.episode - 1].id or None,
                turn=None if one.turn is None else one.turn - 1,
            )
            for one in offered
        ]

    def _fits(self, one: _Offered, failed: Sequence[Episode]) -> bool:
        """Whether it names one of the episodes and says neither nothing nor too much."""
        return (
            0 < one.episode <= len(failed)
            and (one.turn is None or 0 < one.turn <= len(failed[one.episode - 1].turns))
            and 0 < len(one.description.strip()) <= self.config.description_chars
            and 0 < len(one.content.strip()) <= self.config.body_chars
        )

    def _told(self, number: int, episode: Episode) -> str:
        """A failed episode as the evolver reads it."""
        parts = [f"Episode {number}, {episode.task.env}. Return: {sum(episode.rewards):g}."]
        if episode.opened and (instructions := episode.opened.instructions.strip()):
            parts.append(f"The world: {instructions[-self.config.seen_chars :]}")
        turns = list(enumerate(zip(episode.turns, shown(episode), strict=True), 1))
        for index, (turn, before) in turns[-self.config.turns :]:
            seen = before.text.strip()[-self.config.seen_chars :]
            said = json.dumps(turn.move.text[: self.config.said_chars], ensure_ascii=False)
            parts.append(f"Turn {index}\nSeen: {seen}\nSaid: {said}")
        last = episode.turns[-1]
        came = last.result.observation.text if last.result is not None else last.reply.complaint
        parts.append(f"At last: {came.strip()[-self.config.seen_chars :]}")
        return "\n".join(parts)


def _is_name(name: str) -> bool:
    try:
        check_name(name)
    except BadRecord:
        return False
    return True


def _numbered(taken: Collection[str]) -> Iterator[str]:
    """Names for skills that have none: dyn-001 and so on, as far as they are free."""
    return (name for number in count(1) if (name := f"dyn-{number:03}") not in taken)


def _system(skills: int, categories: Sequence[str]) -> str:
    return (
        "You write skills for a player that learns from reward. You are shown episodes in which it failed. Write 1 to "
        f"{skills} skills that would have kept it from failing, there and where the same comes up again. Do not repeat "
        "a skill there is. Answer with a JSON list and nothing else: "
        '[{"name": "look-before-opening", "description": "One sentence: when to use it.", "content": "# Title\\n\\n'
        '1. ...", "category": "general", "episode": 1, "turn": 2}]. '
        "The name is lower-case words joined by hyphens. The content is 6 to 15 lines of Markdown: a heading, the "
        "steps, an example, and a section **Anti-pattern** that says what not to do. Episode and turn are the numbers "
        f"of what taught it. The category is one of {', '.join(categories)}."
    )
