"""Lessons by a language model: the policy itself, or any OpenAI-compatible `/chat/completions`.

SLEA-RL (arXiv 2603.18079): the policy's own base model summarises the best and the worst trajectories; its prompts are
not published, so these are ours. The model is shown one numbered episode and gives back a JSON list of lessons, each
with the number of the turn it is for. What is no such list is asked for again, and after `tries` times left out.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from typing import Any, ClassVar, Literal

from pydantic import Field, TypeAdapter, ValidationError

from agents.conduct import said, shown
from agents.types import Episode, Message
from trainers.completions import Ask, CompletionsConfig, voice
from trainers.distillers.base import Distiller, DistillerConfig, Lessons, lesson

__all__ = ["Llm"]

LEVELS = {"skill": ("principle", "method", "example"), "failure": ("mistake", "pattern", "diagnostic")}
"""How general a lesson is: the names of SLEA-RL's code."""

Kind = Literal["skill", "failure"]


class LlmConfig(DistillerConfig, CompletionsConfig):
    """Who is asked."""

    name: str = "llm"
    """The distiller's registry name."""
    url: str = ""
    """Address of the API; `/chat/completions` is put behind it. Empty: the policy is asked, with its own weights."""
    max_tokens: int = Field(512, ge=1)
    """Tokens of an answer at most, where the policy is asked."""
    lessons: int = Field(3, ge=1)
    """Lessons of an episode at most."""
    advice_chars: int = Field(200, ge=1)
    """Longer advice is not taken."""


class Llm(Distiller):
    """Asks, and takes only what names a turn."""

    Config: ClassVar[type[DistillerConfig]] = LlmConfig
    config: LlmConfig

    async def lessons(self, won: Sequence[Episode], lost: Sequence[Episode]) -> list[Lessons]:
        """What the model finds in each. Raises Unanswered where the endpoint refuses or does not answer."""
        async with voice(self.config, self.ask, "memory.distiller.url") as ask:
            return await self._asked(ask, won, lost)

    async def _asked(self, ask: Ask, won: Sequence[Episode], lost: Sequence[Episode]) -> list[Lessons]:
        wanted: list[tuple[Episode, Kind]] = [(one, "skill") for one in won]
        wanted += [(one, "failure") for one in lost]
        try:
            async with asyncio.TaskGroup() as group:
                asked = [group.create_task(self._of(ask, episode, kind)) for episode, kind in wanted]
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        return [task.result() for task in asked]

    async def _of(self, ask: Ask, episode: Episode, kind: Kind) -> Lessons:
        if not episode.turns:
            return []
        messages: list[Message] = [
            {"role": "system", "content": _system(kind, self.config.lessons)},
            {"role": "user", "content": _told(episode)},
        ]
        for attempt in range(self.config.tries):
            text = await ask(messages, self.config.temperature + 0.3 * attempt, self.config.max_tokens)
            if (found := self._read(text, episode, kind)) is not None:
                return found
        return []

    def _read(self, text: str, episode: Episode, kind: Kind) -> Lessons | None:
        """The lessons in an answer; None where it is no list of them."""
        start, end = text.find("["), text.rfind("]")
        try:
            rows = _LIST.validate_json(text[start : end + 1] if 0 <= start < end else "")
            found = [(int(row["turn"]), str(row["level"]), " ".join(str(row["advice"]).split())) for row in rows]
        except (ValidationError, KeyError, ValueError, TypeError, OverflowError, RecursionError):
            return None
        for turn, level, advice in found:
            fits = 0 < turn <= len(episode.turns) and level in LEVELS[kind]
            if not fits or not 0 < len(advice) <= self.config.advice_chars:
                return None
        return [lesson(episode, turn - 1, advice, kind, level) for turn, level, advice in found[: self.config.lessons]]


_LIST: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(list[dict[str, Any]])
_WANTED = {
    "skill": "This episode went well. Give the lessons that would help a player who sees the same as before a turn: "
    "what to do there, and why it works",
    "failure": "This episode went badly. Give the warnings that would help a player who sees the same as before a "
    "turn: what not to do there, and what comes of it",
}


def _system(kind: Kind, count: int) -> str:
    return (
        f"You read an episode that a player played. {_WANTED[kind]}. Say it in one short sentence that holds in other "
        f"episodes too. Answer with a JSON list of at most {count} objects and nothing else: "
        f'[{{"turn": 1, "level": "{LEVELS[kind][0]}", "advice": "..."}}]. '
        f"The level is one of {', '.join(LEVELS[kind])}."
    )


def _told(episode: Episode) -> str:
    """The episode as the distiller reads it."""
    instructions = episode.opened.instructions.strip() if episode.opened else ""
    parts = [f"The world: {instructions}"] if instructions else []
    for index, (turn, before) in enumerate(zip(episode.turns, shown(episode), strict=True), 1):
        action = json.dumps(said(turn), ensure_ascii=False) if turn.reply.action else "an answer that cannot be read"
        parts.append(f"Turn {index}\nSeen: {before.text.strip()}\nDone: {action}")
    last = episode.turns[-1].result
    if last is not None:
        parts.append(f"At last: {last.observation.text.strip()}")
    return "\n\n".join([*parts, f"Return: {sum(episode.rewards):g}. Solved: {'yes' if episode.success else 'no'}."])
