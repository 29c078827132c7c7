"""Messages to ids and back, for one chat template.

The rule: sampled ids are never made again from text. A prompt that continues the last turn begins with that turn's
exact prompt and sampled ids; only what the template puts after an answer, and the messages since, are tokenised. What
the template puts there is read off a rendered placeholder conversation, so any template serves whose rendering of a
message does not depend on what comes after it.

Special tokens spelt out in a message are broken by a space (`< |im_end|>`): no world can close a turn or open another.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, Protocol

from agents.types import Message, Prompt, Turn

__all__ = ["Chat", "Tokenizer"]

MARK = "⟦answer⟧"
"""Stands for an answer where the template is probed."""


class Tokenizer(Protocol):
    """The part of a Hugging Face tokenizer that is used; best a byte-level one, whose texts join freely."""

    chat_template: Any
    eos_token_id: int | None
    all_special_tokens: list[str]
    all_special_ids: list[int]

    def apply_chat_template(self, conversation: Any, *, tokenize: bool, add_generation_prompt: bool) -> Any:
        """The conversation as text."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Ids of a text."""
        ...

    def decode(self, token_ids: Any, *, skip_special_tokens: bool, clean_up_tokenization_spaces: bool) -> Any:
        """Text of ids."""
        ...


class Chat:
    """One tokenizer with its chat template.

    Raises ValueError for a tokenizer without a chat template, or with one in which nothing ends a turn.
    """

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer: Tokenizer = tokenizer
        if not getattr(tokenizer, "chat_template", None):
            raise ValueError(
                "this tokenizer has no chat template; set tokenizer.chat_template to the one its model was trained with"
            )
        specials = sorted(filter(None, tokenizer.all_special_tokens), key=len, reverse=True)
        self._special = re.compile("|".join(map(re.escape, specials))) if specials else None
        self._folds = not self._knows_system()
        closing = self._after_answer([], generate=False)
        special_ids = set(tokenizer.all_special_ids)
        self._end: int | None = next((i for i in self._encode(closing) if i in special_ids), None)
        """The id that ends a turn; None where the template closes a turn with plain text."""
        eos = tokenizer.eos_token_id
        self.stop_ids: tuple[int, ...] = tuple(dict.fromkeys(i for i in (self._end, eos) if i is not None))
        """Ids that end an answer: the template's end of turn, and the tokenizer's end of text."""
        if not self.stop_ids:
            raise ValueError(
                "no token ends a turn: the template closes an answer without one and there is no eos_token"
            )

    def prompt_ids(self, prompt: Prompt, last: Turn | None) -> list[int]:
        """Ids (P,) of a prompt; they begin with the last turn's prompt and sampled ids where the messages do."""
        since = _since(prompt, last)
        if last is None or since is None:
            return self._encode(self.render(prompt.messages))
        sampled = last.move.sample.ids
        text = self._after_answer(since, generate=True)
        if sampled and sampled[-1] == self._end:
            text = text.partition(self.decode([self._end]))[2]
        return [*last.move.prompt_ids, *sampled, *self._encode(text)]

    def render(self, messages: Sequence[Message], *, generate: bool = True) -> str:
        """The template's text; `generate` ends it where an answer begins. Raises ValueError for no messages."""
        if not messages:
            raise ValueError("a prompt needs at least one message")
        text = self.tokenizer.apply_chat_template(
            self._folded(self._quoted(messages)), tokenize=False, add_generation_prompt=generate
        )
        assert isinstance(text, str), f"the chat template rendered a {type(text).__name__}"
        return text

    def answer_ids(self, text: str) -> list[int]:
        """Ids of an answer as a model would have sampled it, the end of turn included."""
        return [*self._encode(self._unspecial(text)), self.stop_ids[0]]

    def answer_text(self, ids: Sequence[int]) -> str:
        """Text of sampled ids, without special tokens."""
        return self._decode(ids, skip_special_tokens=True)

    def decode(self, ids: Sequence[int]) -> str:
        """Text of ids, special tokens spelt out."""
        return self._decode(ids, skip_special_tokens=False)

    def count(self, text: str) -> int:
        """How many tokens a text has."""
        return len(self._encode(self._unspecial(text)))

    def _decode(self, ids: Sequence[int], *, skip_special_tokens: bool) -> str:
        # Some checkpoints ask for "clean up", which drops spaces that were sampled.
        return str(
            self.tokenizer.decode(
                list(ids), skip_special_tokens=skip_special_tokens, clean_up_tokenization_spaces=False
            )
        )

    def _encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False)) if text else []

    def _after_answer(self, since: Sequence[Message], *, generate: bool) -> str:
        """What the template puts after an answer: its closing, then the messages since."""
        text = self.render(
            [{"role": "user", "content": "."}, {"role": "assistant", "content": MARK}, *since], generate=generate
        )
        _, mark, after = text.partition(MARK)
        if not mark:
            raise ValueError("the chat template does not show an assistant's message; it cannot carry a conversation")
        return after

    def _knows_system(self) -> bool:
        messages = [{"role": "system", "content": MARK}, {"role": "user", "content": "."}]
        try:
            text = self.tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
        except Exception:  # a template refuses a role with its engine's own error, which is not ours to import
            return False
        return MARK in text

    def _folded(self, messages: list[Message]) -> list[Message]:
        """The system message put before the first user message, for a template that has no place for it."""
        if not self._folds or messages[0]["role"] != "system":
            return messages
        system, rest = messages[0]["content"], messages[1:]
        if rest and rest[0]["role"] == "user":
            return [{"role": "user", "content": f"{system}\n\n{rest[0]['content']}"}, *rest[1:]]
        return [{"role": "user", "content": system}, *rest]

    def _quoted(self, messages: Sequence[Message]) -> list[Message]:
        return [{"role": message["role"], "content": self._unspecial(message["content"])} for message in messages]

    def _unspecial(self, text: str) -> str:
        if self._special is None:
            return text
        return self._special.sub(lambda found: f"{found[0][0]} {found[0][1:]}", text)


def _since(prompt: Prompt, last: Turn | None) -> list[Message] | None:
    """The messages since the last turn's answer; None where the prompt does not continue that turn."""
    if last is None or not last.move.prompt_ids:
        return None
    before = last.prompt.messages
    n = len(before)
    if len(prompt.messages) < n + 2 or prompt.messages[:n] != before:
        return None
    if prompt.messages[n] != {"role": "assistant", "content": last.move.text}:
        return None
    return prompt.messages[n + 1 :]
