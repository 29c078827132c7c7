"""Thoughts by a language model behind an OpenAI-compatible `/chat/completions`.

RLVMR (arXiv 2507.22844), appendix: a large model is shown an expert's episode and gives back a JSON list with a reason
and the action of every turn; it must reproduce the same sequence of actions. What does not is asked for again, and
after `tries` times left out. The tags' definitions are those of the format.
"""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import httpx
from pydantic import Field, TypeAdapter, ValidationError

from agents.conduct import shown
from agents.formats.base import spoken
from agents.formats.rlvmr import MARKUP, MEANINGS, Tag
from agents.types import Episode
from trainers.annotators.base import Annotator, AnnotatorConfig, Note, Notes

__all__ = ["Endpoint", "Unannotated"]

PAUSE_S = 1.0
"""Before the first request that is made again; it doubles each time."""


class Unannotated(RuntimeError):
    """Raised where the endpoint cannot be used at all."""


class EndpointConfig(AnnotatorConfig):
    """Which model is asked, and how often."""

    name: str = "endpoint"
    """The annotator's registry name."""
    url: str = "http://127.0.0.1:8000/v1"
    """Address of the API; `/chat/completions` is put behind it."""
    model: str = ""
    """Name of the model, as the endpoint knows it."""
    key_variable: str = "OPENAI_API_KEY"
    """Environment variable with the bearer token; where it is not set none is sent."""
    temperature: float = Field(0.0, ge=0)
    """Of the first try; later ones add 0.3 each, so that they differ."""
    timeout_s: float = Field(120.0, gt=0)
    """Longest wait for an answer."""
    tries: int = Field(3, ge=1)
    """Answers asked for at most, for one demonstration."""
    concurrency: int = Field(4, ge=1)
    """Requests at once."""


class Endpoint(Annotator):
    """Asks, and believes only what keeps to the demonstration."""

    Config: ClassVar[type[AnnotatorConfig]] = EndpointConfig
    config: EndpointConfig

    async def notes(self, episodes: Sequence[Episode], done: Callable[[], None]) -> list[Notes | None]:
        """The notes of each episode. Raises Unannotated where the endpoint refuses or does not answer."""
        key = os.environ.get(self.config.key_variable)
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        places = asyncio.Semaphore(self.config.concurrency)

        async def one(episode: Episode) -> Notes | None:
            async with places:
                found = await self._notes(client, episode)
            done()
            return found

        async with httpx.AsyncClient(headers=headers, timeout=self.config.timeout_s) as client:
            try:
                async with asyncio.TaskGroup() as group:
                    asked = [group.create_task(one(episode)) for episode in episodes]
            except BaseExceptionGroup as errors:
                raise errors.exceptions[0] from None
        return [task.result() for task in asked]

    async def _notes(self, client: httpx.AsyncClient, episode: Episode) -> Notes | None:
        messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": _told(episode)}]
        for attempt in range(self.config.tries):
            text = await self._answer(client, messages, self.config.temperature + 0.3 * attempt)
            notes = read(text, episode)
            if notes is not None:
                return notes
        return None

    async def _answer(self, client: httpx.AsyncClient, messages: list[dict[str, str]], temperature: float) -> str:
        """What the model says. What may pass (a full queue, a restart) is tried again; what will not raises."""
        url = f"{self.config.url.rstrip('/')}/chat/completions"
        body = {"model": self.config.model, "messages": messages, "temperature": temperature}
        why = ""
        for attempt in range(self.config.tries):
            if attempt:
                await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1))
            try:
                answer = await client.post(url, json=body)
            except httpx.InvalidURL as error:
                raise Unannotated(f"sft.annotator.url = {self.config.url!r} is no address: {error}") from error
            except httpx.HTTPError as error:
                why = f"it does not answer ({type(error).__name__}: {error})"
                continue
            if answer.status_code == 429 or answer.status_code >= 500:
                why = f"it answers {answer.status_code}: {answer.text[:200]}"
                continue
            if answer.status_code != 200:
                raise Unannotated(f"the annotator at '{url}' refuses with {answer.status_code}: {answer.text[:200]}")
            try:
                return str(answer.json()["choices"][0]["message"]["content"])
            except (ValueError, LookupError, TypeError):
                raise Unannotated(f"'{url}' is no chat completions endpoint; it says: {answer.text[:200]}") from None
        raise Unannotated(f"the annotator at '{url}' cannot be used: {why}; is sft.annotator.url right?")


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
