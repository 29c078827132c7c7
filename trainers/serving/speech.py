"""An answer as it comes: sampled ids in slices, and the text of them that cannot change any more.

Rule: the ids are what was sampled, cut where a stop string is whole; text, stream and usage are read off them. The
engine, which answers whole samples, is asked for a few tokens at a time; its cache continues where the slice before
ended. With a seed each slice has one of its own, so that streamed or not an answer is the same.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from dataclasses import dataclass
from random import Random
from typing import Literal

from agents.chat import Chat
from agents.types import Sample, Sampler

__all__ = ["HALF", "SLICE_TOKENS", "Piece", "speech"]

SLICE_TOKENS = 8
"""Sampled before something is sent."""
HALF = "�"
"""What a tokenizer shows for bytes that are no whole character yet."""


@dataclass(frozen=True, slots=True)
class Piece:
    """What came since the piece before."""

    text: str
    ids: list[int]
    logprobs: list[float]
    """Nats, of the distribution that was sampled from."""
    whole: Sample | None = None
    """In the last piece: all of it."""
    answer: str = ""
    """In the last piece: the text of all of it."""


async def speech(
    sampler: Sampler,
    chat: Chat,
    prompt_ids: Sequence[int],
    *,
    max_tokens: int,
    temperature: float,
    stop: Sequence[str] = (),
    seed: int | None = None,
) -> AsyncGenerator[Piece]:
    """The pieces of one answer, the last with all of it. Raises what the sampler does."""
    ids: list[int] = []
    logprobs: list[float] = []
    sent, told, version = "", 0, -1
    ended: Literal["stop", "length"] | None = None
    while ended is None:
        part = await sampler.sample(
            [*prompt_ids, *ids],
            max_tokens=min(SLICE_TOKENS, max_tokens - len(ids)),
            temperature=temperature,
            seed=None if seed is None else Random(f"{seed}/{len(ids)}").getrandbits(63),
        )
        version = part.version if version < 0 else version
        ids += part.ids
        logprobs += part.logprobs
        text = chat.answer_text(ids)
        if found := [at for word in stop if (at := text.find(word)) >= 0]:
            keep = _shortest(chat, ids, stop)
            ids, logprobs, text, ended = ids[:keep], logprobs[:keep], text[: min(found)], "stop"
        elif part.stop == "stop":
            ended = "stop"
        elif len(ids) >= max_tokens:
            ended = "length"
        safe = text if ended else _settled(text, stop)
        fresh = slice(told, len(ids))
        if ended:
            whole = Sample(ids, logprobs, ended, temperature, version)
            yield Piece(safe[len(sent) :], ids[fresh], logprobs[fresh], whole, text)
        elif len(safe) > len(sent):
            yield Piece(safe[len(sent) :], ids[fresh], logprobs[fresh])
            sent, told = safe, len(ids)


def _shortest(chat: Chat, ids: Sequence[int], stop: Sequence[str]) -> int:
    """How many ids it takes until a stop string is whole."""
    for count in range(1, len(ids)):
        text = chat.answer_text(ids[:count])
        if any(word in text for word in stop):
            return count
    return len(ids)


def _settled(text: str, stop: Sequence[str]) -> str:
    """The text without what the next token may change: half a character, or the beginning of a stop string."""
    text = text.rstrip(HALF)
    held = [size for word in stop for size in range(1, len(word)) if text.endswith(word[:size])]
    return text[: len(text) - max(held, default=0)]
