"""Thoughts by a language model behind an OpenAI-compatible `/chat/completions`.

RLVMR (arXiv 2507.22844), appendix: a large model is shown an expert's episode and gives back a JSON list with a reason
and the action of every turn; it must reproduce the same sequence of actions. What does not is asked for again, and
after `tries` times left out. The tags' definitions are those of the format.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

from pydantic import TypeAdapter, ValidationError

from agents.conduct import shown
from agents.formats.base import spoken
from agents.formats.rlvmr import MARKUP, MEANINGS, Tag
from agents.types import Episode, Message
from trainers.annotators.base import Annotator, AnnotatorConfig, Note, Notes
from trainers.completions import Completions, CompletionsConfig, completions

__all__ = ["Endpoint", "EndpointConfig"]


class EndpointConfig(AnnotatorConfig, CompletionsConfig):
    """Which model is asked, and how often."""

    name: str = "endpoint"
    """The annotator's registry name."""


class Endpoint(Annotator):
    """Asks, and believes only what keeps to the demonstration."""

    Config: ClassVar[type[AnnotatorConfig]] = EndpointConfig
    config: EndpointConfig

    async def notes(self, episodes: Sequence[Episode], done: Callable[[], None]) -> list[Notes | None]:
        """The notes of each episode. Raises Unanswered where the endpoint refuses or does not answer."""

        async def one(episode: Episode) -> Notes | None:
            found = await self._notes(model, episode)
            done()
            return found

        async with completions(self.config, "sft.annotator.url") as model:
            try:
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(one(episode)) for episode in episodes]
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return [task.result() for task in asked]

    async def _notes(self, model: Completions, episode: Episode) -> Notes | None:
        messages: list[Message] = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": _told(episode)}]
        for attempt in range(self.config.tries):
            text = await model.answer(messages, temperature=self.config.temperature + 0.3 * attempt)
            notes = read(text, episode)
            if notes is not None:
                return notes
        return None


SYSTEM = (
    "You annotate an episode that an expert played. For every numbered turn, give the kind of thought that leads to "
    "its action, and the thought itself in one short sentence, as the player would think it before acting: it must not "
    "use what is seen only later.\nThe kinds:\n"
    + "\n".join(f"- {tag}: {meaning}." for tag, meaning in MEANINGS.items())
    + '\nAnswer with a JSON list and nothing else, one object a turn, in order: [{"tag": "planning", "reason": "1. ... '
    '2. ...", "action": "..."}]. Copy every action exactly. The first turn is planning.'
)

_LIST: TypeAdapter[list[dict[str, Any]]] = TypeAdapter(list[dict[str, Any]])
_TAG: TypeAdapter[Tag] = TypeAdapter(Tag)


def read(text: str, episode: Episode) -> Notes | None:
    """The notes in an answer; None where it is no list of them or plays anything but the episode's actions."""
    start, end = text.find("["), text.rfind("]")
    try:
        rows = _LIST.validate_json(text[start : end + 1] if 0 <= start < end else "")
        notes = [Note(_TAG.validate_python(row["tag"]), " ".join(str(row["reason"]).split())) for row in rows]
        actions = [" ".join(str(row["action"]).split()) for row in rows]
    except (ValidationError, KeyError, RecursionError):
        return None
    played = [" ".join(_action(turn.reply.action).split()) for turn in episode.turns]
    if actions != played or any(not note.words or MARKUP.search(note.words) for note in notes):
        return None
    return notes


def _told(episode: Episode) -> str:
    """The episode as the annotator reads it."""
    instructions = episode.opened.instructions.strip() if episode.opened else ""
    parts = [f"The world: {instructions}"] if instructions else []
    for index, (turn, before) in enumerate(zip(episode.turns, shown(episode), strict=True), 1):
        # Where the last answer could not be parsed, the player read a complaint.
        seen = (index > 1 and episode.turns[index - 2].reply.complaint) or before.text.strip()
        parts.append(
            f"Turn {index}\nSeen: {seen}\nAction: {json.dumps(_action(turn.reply.action), ensure_ascii=False)}"
        )
    return "\n\n".join(parts)


def _action(action: Any) -> str:
    return "" if action is None else spoken(action)
