"""One record of play: Turn in Episode. What happened is written once and never edited.

Shape suffixes: `P` prompt tokens, `A` sampled tokens of a turn, `T` turns. Log-probabilities in nats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Literal, Protocol, TypedDict

from envserver.schema import Action, Observation, Opened, StepResult, Task

__all__ = [
    "ContextFull",
    "Episode",
    "History",
    "Message",
    "Move",
    "Outdated",
    "Prompt",
    "Reply",
    "Resigned",
    "Sample",
    "Sampler",
    "StopReason",
    "SummariesSpent",
    "Turn",
]


class ContextFull(ValueError):
    """Raised where a prompt does not fit: the model's context, or the working context; the episode stops with
    MAX_TOKENS."""


class Outdated(Exception):
    """Raised by a policy that wants an episode drawn from one version of the weights, where they have changed; the
    episode is played anew."""


class Resigned(Exception):
    """Raised by a policy that has nothing more to play; the episode stops with RESIGNED."""


class SummariesSpent(Exception):
    """Raised by a context that is full and may ask for no summary; the episode stops with MAX_SUMMARIES."""


class Message(TypedDict):
    """One message of a chat."""

    role: Literal["system", "user", "assistant", "tool"]
    content: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What a sampler drew."""

    ids: list[int]
    """(A,), the end-of-turn token included where it was sampled."""
    logprobs: list[float]
    """(A,) nats, of the distribution that was really sampled from."""
    stop: Literal["stop", "length"]
    temperature: float
    version: int
    """Optimizer steps behind the weights it was drawn from; of the first token where weights changed under way."""


class Sampler(Protocol):
    """Token in, token out."""

    async def sample(
        self, prompt_ids: Sequence[int], *, max_tokens: int, temperature: float, seed: int | None = None
    ) -> Sample:
        """Continue `prompt_ids` (P,) by at most `max_tokens` tokens.

        `temperature` 0 is greedy. `seed` makes the draw a function of its arguments and the weights; None draws freely.
        Raises ContextFull where prompt and tokens do not fit the context.
        """
        ...


@dataclass(frozen=True, slots=True)
class Prompt:
    """What the policy sees next."""

    messages: list[Message]
    kind: Literal["act", "summary"] = "act"
    used: tuple[int, ...] = ()
    """Ids of the experiences that were shown."""
    skills: tuple[str, ...] = ()
    """Content hashes of the skills' versions that were shown."""
    generation: int = 0
    """Of the skills, when the prompt was made."""
    drops_last: bool = False
    """Whether the last turn is left out: then the prompt continues the turn before it."""


@dataclass(frozen=True, slots=True)
class Move:
    """What the policy said. Policies that are no language model have empty ids."""

    prompt_ids: list[int]
    """(P,)"""
    sample: Sample
    text: str


@dataclass(frozen=True, slots=True)
class Reply:
    """What the format read in a move."""

    action: Action | None
    """None: the text could not be parsed; `complaint` is shown and the world is untouched."""
    tag: str = ""
    complaint: str = ""


@dataclass(frozen=True, slots=True)
class Turn:
    """One prompt, one move, and what came of it."""

    prompt: Prompt
    move: Move
    reply: Reply
    result: StepResult | None
    """None for a summary, an unparsable answer, or a world that broke."""


@dataclass(slots=True)
class History:
    """What has happened so far in an episode that goes on."""

    task: Task
    opened: Opened
    turns: list[Turn] = field(default_factory=list)

    def before(self, prompt: Prompt) -> Turn | None:
        """The turn that a prompt may continue."""
        kept = self.turns[:-1] if prompt.drops_last else self.turns
        return kept[-1] if kept else None

    @property
    def observation(self) -> Observation:
        """What the world showed last: an unparsable answer leaves it standing."""
        for turn in reversed(self.turns):
            if turn.result is not None:
                return turn.result.observation
        return self.opened.result.observation


class StopReason(StrEnum):
    """Why an episode stopped."""

    DONE = "done"
    """The world said terminated."""
    TRUNCATED = "truncated"
    """The world said truncated."""
    MAX_TURNS = "max_turns"
    """The player's own turn limit."""
    MAX_TOKENS = "max_tokens"
    """The next prompt would not fit the model's context."""
    MAX_SUMMARIES = "max_summaries"
    """The context is full and no summary is left."""
    RESIGNED = "resigned"
    """The policy had nothing more to play; the reward counts."""
    ERROR = "error"
    """The world or the wire broke: reward null, no gradient, in no baseline."""


@dataclass(slots=True)
class Episode:
    """One task, played."""

    task: Task
    turns: list[Turn]
    stop: StopReason
    error: str | None = None
    id: str = ""
    """Made by the player when it opens the session; the session's id on the server and the row's in SQL."""
    opened: Opened | None = None
    wall_s: float = 0.0

    @property
    def valid(self) -> bool:
        """False where the reward is null."""
        return self.stop is not StopReason.ERROR

    @property
    def rewards(self) -> list[float]:
        """(T,) raw reward of each turn; 0 where the world was not touched."""
        return [turn.result.reward if turn.result else 0.0 for turn in self.turns]

    @property
    def success(self) -> bool:
        """True where some result said so."""
        return any(turn.result is not None and turn.result.success is True for turn in self.turns)

    @property
    def reward(self) -> float | None:
        """Sum of the raw rewards; None where the episode is not valid."""
        return sum(self.rewards) if self.valid else None
