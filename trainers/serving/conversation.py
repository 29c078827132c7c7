"""One session: what was asked and answered, with the exact ids, and what came of it.

Rule: what a client sends back is matched with what was said, and a match begins with the exact ids. An answer that
comes back with other white space around it is the same answer. What does not match is a prompt of its own
(`agents.chat`). The skills that a session begins with stay with it, so that its prompts continue each other.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from agents.types import Episode, Message, Move, Prompt, Reply, StopReason, Turn
from envserver.schema import Action, Observation, Opened, StepResult, Task

__all__ = ["Conversation", "Said", "Shown", "news", "said_so_far"]


@dataclass(frozen=True, slots=True)
class Shown:
    """The skills a session is shown."""

    text: str = ""
    hashes: tuple[str, ...] = ()
    """Of the skills' versions."""
    generation: int = 0

    def put(self, messages: Sequence[Message]) -> list[Message]:
        """The messages with the skills behind the system message, or as one."""
        if not self.text:
            return list(messages)
        if messages[0]["role"] != "system":
            return [{"role": "system", "content": self.text}, *messages]
        return [{"role": "system", "content": f"{messages[0]['content']}\n\n{self.text}"}, *messages[1:]]


@dataclass(slots=True)
class Said:
    """One turn."""

    asked: list[Message]
    """The client's messages, without skills."""
    prompt: Prompt
    move: Move
    reward: float | None = None
    """None: nobody has said how good it was."""
    by: Literal["", "feedback", "judge"] = ""
    """Whose the reward is."""


@dataclass(slots=True, eq=False)
class Conversation:
    """One session, open or over."""

    session: str
    """As the client calls it."""
    id: str
    """The episode's."""
    env: str
    said: list[Said] = field(default_factory=list)
    outcome: float | None = None
    """Reward of the whole, for every turn that has none of its own."""
    success: bool | None = None
    stop: StopReason | None = None
    """None while it is open."""
    shown: Shown | None = None
    last_s: float = 0.0
    """Of the clock, when something was asked last."""
    wall_s: float = 0.0
    heard: str | None = None
    """What finds it, where its client names none: a hash of what has been said."""
    judging: set[int] = field(default_factory=set)
    """Turns that are being judged."""
    turn_lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    """Held while a turn is sampled: a session has one turn at a time."""

    @property
    def rewards(self) -> list[float | None]:
        """(T,) the reward of each turn, its own or the session's; None where there is neither, or nothing to learn.

        What was sampled greedily has no distribution, and so no gradient.
        """
        own = [self.outcome if turn.reward is None else turn.reward for turn in self.said]
        greedy = [turn.move.sample.temperature == 0 for turn in self.said]
        return [None if skip else reward for reward, skip in zip(own, greedy, strict=True)]

    @property
    def rated(self) -> int:
        """Turns that can train."""
        return sum(reward is not None for reward in self.rewards)

    @property
    def unjudged(self) -> list[int]:
        """Turns that nobody has rated and that the next one answers."""
        found: list[int] = []
        for index, (turn, after) in enumerate(pairwise(self.said)):
            before = [*turn.asked, {"role": "assistant", "content": turn.move.text}]
            if not turn.by and after.asked[: len(before)] == before:
                found.append(index)
        return found

    def aligned(self, messages: Sequence[Message]) -> list[Message]:
        """The client's messages, what it echoes of this conversation put back exactly as it was said."""
        if not self.said:
            return list(messages)
        last = self.said[-1]
        before: list[Message] = [*last.asked, {"role": "assistant", "content": last.move.text}]
        if len(messages) <= len(before):
            return list(messages)
        alike = all(_same(ours, theirs) for ours, theirs in zip(before, messages, strict=False))
        return [*before, *messages[len(before) :]] if alike else list(messages)

    @property
    def turns(self) -> list[Turn]:
        """The turns as play; what the client said next is what came of one, and a turn without a reward has 0.

        Where nobody says whether the session was a success, it was if its rewards add up to more than 0.
        """
        made: list[Turn] = []
        own = self._own()
        known = [reward for reward in own if reward is not None]
        success = self.success if self.success is not None else (sum(known) > 0 if known else None)
        for index, (turn, reward) in enumerate(zip(self.said, own, strict=True)):
            last = index == len(self.said) - 1
            result = StepResult(
                observation=Observation(text="" if last else news(self.said[index + 1])),
                reward=reward or 0.0,
                terminated=last and self.stop is StopReason.DONE,
                truncated=last and self.stop is StopReason.TRUNCATED,
                success=success if last else None,
            )
            made.append(Turn(turn.prompt, turn.move, Reply(Action(text=turn.move.text)), result))
        return made

    def episode(self) -> Episode:
        """The session as an episode. The reward of the whole stands on the last turn, where that has none."""
        opening = StepResult(observation=Observation(text=news(self.said[0]) if self.said else ""))
        return Episode(
            Task(env=self.env, key=self.session),
            self.turns,
            self.stop or StopReason.TRUNCATED,
            id=self.id,
            opened=Opened(session=self.id, instructions="", result=opening),
            wall_s=self.wall_s,
        )

    def last_turn(self) -> Turn | None:
        """What the next prompt may continue."""
        if not self.said:
            return None
        turn = self.said[-1]
        return Turn(turn.prompt, turn.move, Reply(Action(text=turn.move.text)), None)

    def _own(self) -> list[float | None]:
        found = [turn.reward for turn in self.said]
        if found and found[-1] is None:
            found[-1] = self.outcome
        return found


def said_so_far(messages: Sequence[Message]) -> str | None:
    """A hash of the messages to the last answer among them; None where there is no answer."""
    answers = [index for index, message in enumerate(messages) if message["role"] == "assistant"]
    if not answers:
        return None
    heard = [(message["role"], message["content"].strip()) for message in messages[: answers[-1] + 1]]
    return hashlib.sha256(json.dumps(heard).encode()).hexdigest()


def _same(ours: Message, theirs: Message) -> bool:
    if ours["role"] != theirs["role"]:
        return False
    if ours["role"] == "assistant":
        return ours["content"].strip() == theirs["content"].strip()
    return ours["content"] == theirs["content"]


def news(turn: Said) -> str:
    """What the client said since its last answer."""
    news: list[str] = []
    for message in reversed(turn.asked):
        if message["role"] == "assistant":
            break
        if message["role"] != "system":
            news.append(message["content"])
    return "\n".join(reversed(news))
