"""Where requests are answered: a session is found, a prompt is made that continues it, an answer is sampled and kept.

Rule: a turn is kept before its end is sent; who hangs up before that was not answered, and nothing is kept. Judging and
learning are not on the way of a request.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass

from agents.chat import Chat
from agents.contexts.recall import RecallConfig
from agents.library import Library
from agents.skills import active_skills, fitting
from agents.types import Message, Move, Prompt, Sampler
from trainers.serving.config import ServingConfig
from trainers.serving.conversation import Conversation, Said, Shown, news
from trainers.serving.judge import Judge
from trainers.serving.sessions import Sessions
from trainers.serving.speech import Piece, speech
from trainers.serving.window import Window
from trainers.serving.wire import ChatRequest, Refused

__all__ = ["Asked", "Desk"]


@dataclass(frozen=True, slots=True)
class Asked:
    """A request that can be answered."""

    request: ChatRequest
    conversation: Conversation
    messages: list[Message]
    prompt: Prompt
    prompt_ids: list[int]
    max_tokens: int


class Desk:
    """One server's."""

    def __init__(
        self,
        config: ServingConfig,
        *,
        model: str,
        chat: Chat,
        sampler: Sampler,
        context_tokens: int,
        longest_chars: int,
        sessions: Sessions,
        window: Window,
        library: Library | None,
        context: RecallConfig | None,
        judge: Judge | None,
        tell: Callable[[str], None],
    ) -> None:
        """`library` and `context` say which skills a session is shown; without one of them it is shown none.

        No token stands for more than `longest_chars`.
        """
        self.config = config
        self.model = model
        self.chat = chat
        self.sessions = sessions
        self.window = window
        self.judge = judge
        self._sampler = sampler
        self._context_tokens = context_tokens
        self._most_chars = longest_chars * context_tokens
        self._library = library
        self._context = context
        self._tell = tell
        self._judging: set[asyncio.Task[None]] = set()

    async def answer(self, request: ChatRequest, session: str | None) -> AsyncGenerator[Asked | Piece]:
        """What is asked, once it is clear that it can be answered, then the pieces of the answer. Raises Refused."""
        if request.model != self.model:
            raise Refused(
                404,
                f"no model is named '{request.model[:128]}' here; there is: {self.model}",
                param="model",
                code="model_not_found",
            )
        messages = [message.read() for message in request.messages]
        if messages[-1]["role"] in ("assistant", "system"):
            raise Refused(400, "the last message must be the user's or a tool's", param="messages")
        with self.window.asked():
            async with self._turn(session, messages) as conversation:
                asked = await self._asked(request, conversation, messages)
                yield asked
                began = time.monotonic()
                pieces = speech(
                    self._sampler,
                    self.chat,
                    asked.prompt_ids,
                    max_tokens=asked.max_tokens,
                    temperature=1.0 if request.temperature is None else request.temperature,
                    stop=request.stops,
                    seed=request.seed,
                )
                async with aclosing(pieces):
                    async for piece in pieces:
                        if piece.whole is not None:
                            move = Move(asked.prompt_ids, piece.whole, piece.answer)
                            self._keep(conversation, Said(asked.messages, asked.prompt, move), time.monotonic() - began)
                        yield piece

    def read(self) -> None:
        """Go on with what an earlier process left, its judging too."""
        self.sessions.read()
        for conversation in (*self.sessions.open, *self.sessions.over):
            self._have_judged(conversation)

    async def close(self) -> None:
        """Nobody is judged any more."""
        for task in self._judging:
            task.cancel()
        await asyncio.gather(*self._judging, return_exceptions=True)

    @asynccontextmanager
    async def _turn(self, session: str | None, messages: Sequence[Message]) -> AsyncIterator[Conversation]:
        """The open session of a request, which has its turn now."""
        while True:
            conversation = self.sessions.find(session, messages)
            async with conversation.turn_lock:
                if self.sessions.holds(conversation):  # it may have ended while this request waited for its turn
                    try:
                        yield conversation
                    finally:
                        self.sessions.leave(conversation)
                    return

    async def _asked(self, request: ChatRequest, conversation: Conversation, messages: Sequence[Message]) -> Asked:
        chars = sum(len(message["content"]) for message in messages)
        if chars > self._most_chars:  # not worth seconds of tokenising
            raise self._too_long(f"{chars} characters")
        if conversation.shown is None:
            conversation.shown = await self._shown(messages)
        aligned = conversation.aligned(messages)
        shown = conversation.shown
        prompt = Prompt(shown.put(aligned), skills=shown.hashes, generation=shown.generation)
        # A long prompt would keep everybody else waiting while it is tokenised.
        prompt_ids = await asyncio.to_thread(self._prompt_ids, prompt, conversation)
        left = self._context_tokens - len(prompt_ids)
        max_tokens = request.limit or max(1, min(self.config.max_tokens, left))
        if max_tokens > left:
            raise self._too_long(f"{len(prompt_ids)} prompt tokens and {max_tokens} to answer")
        return Asked(request, conversation, aligned, prompt, prompt_ids, max_tokens)

    def _too_long(self, what: str) -> Refused:
        return Refused(
            400,
            f"{what} do not fit a context of {self._context_tokens} tokens; send less, or ask for less",
            param="messages",
            code="context_length_exceeded",
        )

    def _prompt_ids(self, prompt: Prompt, conversation: Conversation) -> list[int]:
        try:
            return self.chat.prompt_ids(prompt, conversation.last_turn())
        except Exception as error:  # a chat template refuses an order of roles with its engine's own error
            raise Refused(400, f"the chat template refuses these messages: {error}", param="messages") from error

    async def _shown(self, messages: Sequence[Message]) -> Shown:
        """The skills for what is asked first."""
        library, options = self._library, self._context
        if library is None or options is None or not options.skills:
            return Shown(generation=library.generation if library is not None else 0)
        asked = messages[-1]["content"]
        generation, found = await library.skills(asked, limit=options.skills, match=options.skills_match)
        told = fitting(found, library.tokens, options.skills_tokens)
        return Shown(active_skills(told), tuple(one.digest for one in told), generation)

    def _keep(self, conversation: Conversation, turn: Said, wall_s: float) -> None:
        try:
            self.sessions.add(conversation, turn, wall_s)
        except OSError as error:
            self._tell(f"a turn of session '{conversation.session}' is not on disk and will not survive: {error}")
        self._have_judged(conversation)

    def _have_judged(self, conversation: Conversation) -> None:
        """Ask the judge about turns that the user has answered by now."""
        if self.judge is None:
            return
        for index in conversation.unjudged:
            if index not in conversation.judging:
                conversation.judging.add(index)
                task = asyncio.create_task(self._judged(self.judge, conversation, index))
                self._judging.add(task)
                task.add_done_callback(self._judging.discard)

    async def _judged(self, judge: Judge, conversation: Conversation, index: int) -> None:
        turn, after = conversation.said[index : index + 2]
        try:
            reward = await judge.reward(news(turn), turn.move.text, news(after))
            self.sessions.judged(conversation, index, reward)
        except OSError as error:
            self._tell(f"what a judge said of session '{conversation.session}' is not on disk: {error}")
        finally:
            conversation.judging.discard(index)
