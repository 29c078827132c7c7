"""What the rest of the house says to memory: plain records, no SQL and no tokens' meaning.

Log-probabilities in nats. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

__all__ = [
    "EnvStat",
    "EpisodeRow",
    "ExperienceRow",
    "Found",
    "Hit",
    "NewEpisode",
    "NewExperience",
    "NewTurn",
    "Query",
    "RunRow",
    "SkillRow",
    "Stats",
    "TaskStat",
]


@dataclass(frozen=True, slots=True)
class NewTurn:
    """One turn to be kept."""

    observation: str
    """What the policy was shown since its last turn."""
    text: str
    """What the policy said."""
    action: str
    """The action as one line; empty where the text could not be parsed."""
    reward: float
    tag: str = ""
    complaint: str = ""
    kind: Literal["act", "summary"] = "act"
    prompt_ids: Sequence[int] = ()
    """(P,)"""
    sample_ids: Sequence[int] = ()
    """(A,)"""
    logprobs: Sequence[float] = ()
    """(A,) nats"""
    advantage: float | None = None
    version: int = 0
    """Optimizer steps behind the weights."""
    temperature: float = 1.0
    used: Sequence[int] = ()
    """Ids of the experiences that were shown in the prompt."""


@dataclass(frozen=True, slots=True)
class NewEpisode:
    """One episode to be kept."""

    id: str
    env: str
    key: str
    seed: int
    split: str
    stop: str
    """A StopReason."""
    reward: float | None
    """Sum of raw rewards; None where the episode is not valid."""
    success: bool
    turns: Sequence[NewTurn] = ()
    step: int = 0
    """The trainer's step that played it."""
    error: str | None = None
    wall_s: float = 0.0
    opening: str = ""
    """The first observation."""
    closing: str = ""
    """The last observation, which no turn was played on."""


@dataclass(frozen=True, slots=True)
class NewExperience:
    """Something learned, to be shown again."""

    env: str
    situation: str
    advice: str
    kind: Literal["skill", "failure"]
    score: float
    episode: str | None = None
    turn: int | None = None
    level: str = ""


@dataclass(frozen=True, slots=True)
class Query:
    """What a player asks memory."""

    env: str
    situation: str
    skills: int = 2
    failures: int = 1


@dataclass(frozen=True, slots=True)
class Hit:
    """One experience that memory answers."""

    id: int
    advice: str
    kind: str
    score: float
    match: Literal["cluster", "vector", "text"]
    distance: float


@dataclass(frozen=True, slots=True)
class Found:
    """One place where the words of a full-text query occur."""

    kind: Literal["observation", "action", "experience"]
    id: str
    """Of the episode, or of the experience."""
    position: int | None
    """The turn; for an experience, the turn it was learned from."""
    env: str
    key: str
    """Task key; for an experience, `skill` or `failure`."""
    snippet: str
    """One line, the words in [brackets]."""
    rank: float
    """Higher is better; of one engine and kind comparable."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One run as memory keeps it."""

    id: str
    name: str
    created: str
    """ISO 8601, UTC."""
    config: dict[str, object] = field(default_factory=dict)
    episodes: int = 0


@dataclass(frozen=True, slots=True)
class EpisodeRow:
    """One episode without its turns."""

    id: str
    run: str
    env: str
    key: str
    split: str
    stop: str
    reward: float | None
    success: bool
    turns: int
    step: int
    created: str


@dataclass(frozen=True, slots=True)
class TaskStat:
    """How one task has gone."""

    env: str
    key: str
    visits: int
    mean: float
    """Mean return over the visits."""
    variance: float
    """Of the returns, population."""
    best: float


@dataclass(frozen=True, slots=True)
class ExperienceRow:
    """One experience as memory keeps it."""

    id: int
    env: str
    kind: str
    situation: str
    advice: str
    level: str
    score: float
    """What it is ranked by: first what it came with, then the mean of what was credited."""
    first_score: float
    shown: int
    """How often it was credited."""
    episode: str | None
    turn: int | None
    created: str
    retired: str | None


@dataclass(frozen=True, slots=True)
class SkillRow:
    """One skill with its versions' texts."""

    name: str
    category: str
    description: str
    created: str
    retired: str | None
    versions: Sequence[str] = ()
    """Markdown, the first version first."""


@dataclass(frozen=True, slots=True)
class EnvStat:
    """How one environment has gone, over all runs."""

    env: str
    episodes: int
    valid: int
    """Episodes with a reward."""
    success: float | None
    """Share of the valid episodes; None where there is none."""
    reward: float | None
    """Mean over the valid episodes."""
    turns: float
    """Mean over all episodes."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a memory holds."""

    rows: dict[str, int]
    """Rows by table."""
    envs: Sequence[EnvStat]
