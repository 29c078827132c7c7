"""The sessions of one server: found by name or by what has been said, rated, ended, and handed on when they are over.

Rule: a session is over when its client says so, after a silence, or at the turn limit, and is never taken up again: who
goes on under the same name begins another episode. A client that names no session is recognised by the messages it
sends back; a request that sends none back, or others, begins a session.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence

from agents.types import Message, StopReason
from trainers.serving.config import ServingConfig
from trainers.serving.conversation import Conversation, Said, said_so_far
from trainers.serving.journal import Journal
from trainers.serving.window import Clock

__all__ = ["NoSession", "Sessions"]


class NoSession(LookupError):
    """Raised where a session or a turn of it is not there."""


class Sessions:
    """Those that are open, and those that are over and not yet handed on."""

    def __init__(self, config: ServingConfig, journal: Journal, env: str, clock: Clock) -> None:
        self.config = config
        self.over: list[Conversation] = []
        """In the order they ended."""
        self._journal = journal
        self._env = env
        self._clock = clock
        self._open: dict[str, Conversation] = {}
        self._heard: dict[str, Conversation] = {}
        """Unnamed ones by what has been said."""

    @property
    def open(self) -> list[Conversation]:
        """Those that may go on."""
        return list(self._open.values())

    def read(self) -> None:
        """Go on with what an earlier process left."""
        for conversation in self._journal.read():
            if conversation.stop is None:
                conversation.last_s = self._clock.monotonic()
                self._open[conversation.session] = conversation
                self._hear(conversation)
            else:
                self.over.append(conversation)

    def find(self, session: str | None, messages: Sequence[Message]) -> Conversation:
        """The open session of that name, or that these messages continue; else one that begins."""
        if session is None:
            heard = said_so_far(messages)
            found = self._heard.get(heard) if heard is not None else None
            session = found.session if found is not None else f"unnamed-{uuid.uuid4().hex[:16]}"
        conversation = self._open.get(session)
        if conversation is None:
            conversation = self._open[session] = Conversation(session, uuid.uuid4().hex, self._env)
        conversation.last_s = self._clock.monotonic()
        return conversation

    def holds(self, conversation: Conversation) -> bool:
        """Whether it is open."""
        return self._open.get(conversation.session) is conversation

    def leave(self, conversation: Conversation) -> None:
        """Forget it where its only request was refused, so that nothing was said."""
        if not conversation.said and self.holds(conversation):
            del self._open[conversation.session]

    def add(self, conversation: Conversation, turn: Said, wall_s: float) -> None:
        """A turn was played. Raises OSError where it cannot be written; it counts all the same."""
        conversation.said.append(turn)
        conversation.wall_s += wall_s
        conversation.last_s = self._clock.monotonic()
        self._hear(conversation)
        try:
            if len(conversation.said) == 1:
                self._journal.began(conversation)
            self._journal.said(conversation)
        finally:
            if len(conversation.said) >= self.config.max_turns:
                self._close(conversation, StopReason.MAX_TURNS)

    def rate(self, session: str, turn: int | None, reward: float) -> int:
        """Feedback on a turn, the newest where none is named; which one it was. Raises NoSession."""
        conversation = self._found(session)
        count = len(conversation.said)
        index = count - 1 if turn is None else turn
        if not 0 <= index < count:
            raise NoSession(f"session '{session}' has no turn {index}: it has {count}, counted from 0")
        conversation.said[index].reward, conversation.said[index].by = reward, "feedback"
        self._journal.rated(conversation, index)
        return index

    def judged(self, conversation: Conversation, index: int, reward: float | None) -> None:
        """A judge has looked at a turn; feedback goes before it."""
        turn = conversation.said[index]
        if turn.by != "feedback":
            turn.reward, turn.by = reward, "judge"
            self._journal.rated(conversation, index)

    async def end(self, session: str, reward: float | None, success: bool | None) -> Conversation:
        """Its client says that it is over; an answer under way is kept first. Raises NoSession."""
        conversation = self._found(session)
        async with conversation.turn_lock:
            self._found(session)
            conversation.outcome, conversation.success = reward, success
            self._close(conversation, StopReason.DONE)
        return conversation

    def expire(self) -> None:
        """Those in which nothing was asked for long are over."""
        oldest_s = self._clock.monotonic() - 60 * self.config.silence_minutes
        for conversation in self.open:
            if conversation.said and conversation.last_s <= oldest_s and not conversation.turn_lock.locked():
                self._close(conversation, StopReason.TRUNCATED)

    def _close(self, conversation: Conversation, stop: StopReason) -> None:
        del self._open[conversation.session]
        self._forget(conversation)
        conversation.stop = stop
        self.over.append(conversation)
        self._journal.ended(conversation)

    def _found(self, session: str) -> Conversation:
        conversation = self._open.get(session)
        if conversation is None or not conversation.said:
            raise NoSession(f"there is no open session '{session}': it was never begun, or it is over")
        return conversation

    def _hear(self, conversation: Conversation) -> None:
        self._forget(conversation)
        last = conversation.said[-1]
        conversation.heard = said_so_far([*last.asked, {"role": "assistant", "content": last.move.text}])
        if conversation.heard is not None:
            self._heard[conversation.heard] = conversation

    def _forget(self, conversation: Conversation) -> None:
        if conversation.heard is not None and self._heard.get(conversation.heard) is conversation:
            del self._heard[conversation.heard]
