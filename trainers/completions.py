"""A language model behind an OpenAI-compatible `/chat/completions`, asked one question at a time.

Rule: what may pass (a full queue, a restart) is tried again; what will not is said in one sentence.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager

import httpx
from pydantic import BaseModel, ConfigDict, Field

from agents.types import Message

__all__ = ["Ask", "Completions", "CompletionsConfig", "Unanswered", "completions", "voice"]

Ask = Callable[[Sequence[Message], float, int], Awaitable[str]]
"""A question at a temperature, and its answer of so many tokens at most."""

PAUSE_S = 1.0
"""Before the first request that is made again; it doubles each time."""


class Unanswered(RuntimeError):
    """Raised where the endpoint cannot be used at all."""


class CompletionsConfig(BaseModel):
    """Which model is asked, and how often."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

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
    """Answers asked for at most, for one question."""
    concurrency: int = Field(4, ge=1)
    """Requests at once."""


class Completions:
    """One endpoint, open; `setting` is what an error tells its reader to look at."""

    def __init__(self, client: httpx.AsyncClient, config: CompletionsConfig, setting: str) -> None:
        self._client = client
        self._config = config
        self._setting = setting
        self._places = asyncio.Semaphore(config.concurrency)

    async def answer(self, messages: Sequence[Message], *, temperature: float) -> str:
        """What the model says. Raises Unanswered."""
        async with self._places:
            return await self._answer(messages, temperature)

    async def _answer(self, messages: Sequence[Message], temperature: float) -> str:
        url = f"{self._config.url.rstrip('/')}/chat/completions"
        body = {"model": self._config.model, "messages": list(messages), "temperature": temperature}
        why = ""
        for attempt in range(self._config.tries):
            if attempt:
                await asyncio.sleep(PAUSE_S * 2 ** (attempt - 1))
            try:
                answer = await self._client.post(url, json=body)
            except httpx.InvalidURL as error:
                raise Unanswered(f"{self._setting} = {self._config.url!r} is no address: {error}") from error
            except httpx.HTTPError as error:
                why = f"it does not answer ({type(error).__name__}: {error})"
                continue
            if answer.status_code == 429 or answer.status_code >= 500:
                why = f"it answers {answer.status_code}: {answer.text[:200]}"
                continue
            if answer.status_code != 200:
                raise Unanswered(f"the model at '{url}' refuses with {answer.status_code}: {answer.text[:200]}")
            try:
                return str(answer.json()["choices"][0]["message"]["content"])
            except (ValueError, LookupError, TypeError):
                raise Unanswered(f"'{url}' is no chat completions endpoint; it says: {answer.text[:200]}") from None
        raise Unanswered(f"the model at '{url}' cannot be used: {why}; is {self._setting} right?")


@asynccontextmanager
async def completions(config: CompletionsConfig, setting: str) -> AsyncIterator[Completions]:
    """The endpoint, with the bearer token where its variable is set."""
    key = os.environ.get(config.key_variable)
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    async with httpx.AsyncClient(headers=headers, timeout=config.timeout_s) as client:
        yield Completions(client, config, setting)


@asynccontextmanager
async def voice(config: CompletionsConfig, policy: Ask, setting: str) -> AsyncIterator[Ask]:
    """Who answers: the endpoint, which has its own limit of tokens, or the policy where no address is given."""
    if not config.url:
        yield policy
        return
    async with completions(config, setting) as model:
        yield lambda messages, temperature, _: model.answer(messages, temperature=temperature)
