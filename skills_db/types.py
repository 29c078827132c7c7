"""What the rest of the house says to memory: plain records, no SQL and no tokens' meaning.

Log-probabilities in nats. Times are UTC.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = [
    "DEMONSTRATION",
    "EnvStat",
    "EpisodeRow",
    "ExperienceRow",
    "Found",
    "Hit",
    "LevelStat",
    "NewEpisode",
    "NewExperience",
    "NewSkill",
    "NewTurn",
    "Query",
    "RunRow",
    "SkillEdit",
    "SkillRow",
    "SkillVersionRow",
    "Stats",
    "Table",
    "TaskStat",
]

DEMONSTRATION = "demonstration"
"""The split of an episode that an expert played to teach: it is kept for lineage, and no statistic counts it."""


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
    generation: int = 0
    """Of the skills, when the prompt was made."""
    temperature: float = 1.0
    used: Sequence[int] = ()
    """Ids of the experiences that were shown in the prompt."""
    skills: Sequence[str] = ()
    """Content hashes of the skills' versions that were shown in the prompt."""


@dataclass(frozen=True, slots=True)
class NewEpisode:
    """One episode to be kept."""

    id: str
    env: str
    key: str
    seed: int
    split: str
    """Of the key; or DEMONSTRATION."""
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

    kind: Literal["observation", "action", "experience", "skill"]
    id: str
    """Of the episode, or of the experience; the skill's name."""
    position: int | None
    """The turn; for an experience or a skill, the turn it was learned from."""
    env: str
    """For a skill, its category."""
    key: str
    """Task key; for an experience, `skill` or `failure`; for a skill, its version, as `v2`."""
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
    retired_why: str | None = None
    merged_into: int | None = None
    """The experience whose advice says the same."""


@dataclass(frozen=True, slots=True)
class NewSkill:
    """A skill to be kept."""

    name: str
    """Lower-case letters, digits and single hyphens, as in a folder's name."""
    description: str
    """When to use it, one sentence."""
    body: str
    """Markdown."""
    category: str = "general"
    """Where it applies: an environment, a subject, or `general`."""
    front: Mapping[str, Any] = field(default_factory=dict)
    """What else stands in the front matter of its SKILL.md, as JSON holds it."""
    files: Mapping[str, bytes] = field(default_factory=dict)
    """Files beside its SKILL.md, by their path with slashes."""
    episode: str | None = None
    """The episode that taught it."""
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class SkillEdit:
    """What is to be another; None stays as it is in the version that is edited."""

    body: str | None = None
    description: str | None = None
    category: str | None = None
    front: Mapping[str, Any] | None = None
    files: Mapping[str, bytes] | None = None
    episode: str | None = None
    """The episode that taught it, of the new version alone."""
    turn: int | None = None


@dataclass(frozen=True, slots=True)
class SkillVersionRow:
    """One text of a skill."""

    skill: str
    version: int
    digest: str
    """SHA-256 of all it says: name, front matter, body, files."""
    description: str
    body: str
    parent: int | None
    """The version it was made from."""
    front: Mapping[str, Any]
    files: Mapping[str, str]
    """Path to base64."""
    episode: str | None
    turn: int | None
    created: str


@dataclass(frozen=True, slots=True)
class SkillRow:
    """One skill with its versions."""

    name: str
    category: str
    description: str
    created: str
    retired: str | None
    current: int
    """The version in use."""
    versions: Sequence[SkillVersionRow] = ()
    """The first one first."""

    def version(self, number: int | None = None) -> SkillVersionRow:
        """One of its versions, else the one in use. Raises LookupError."""
        wanted = self.current if number is None else number
        for each in self.versions:
            if each.version == wanted:
                return each
        raise LookupError(f"skill '{self.name}' has no version {wanted}: say 1 to {len(self.versions)}")


@dataclass(frozen=True, slots=True)
class Table:
    """What a query answered."""

    columns: Sequence[str]
    rows: Sequence[Sequence[Any]]
    more: bool
    """Whether rows were left out."""


@dataclass(frozen=True, slots=True)
class EnvStat:
    """How policies have done in one environment, over all runs; demonstrations are not counted."""

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
class LevelStat:
    """The experiences of one level."""

    env: str
    kind: str
    level: str
    live: int
    score: float | None
    """Mean of the live ones."""
    retired: dict[str, int]
    """How many by the reason."""


@dataclass(frozen=True, slots=True)
class Stats:
    """What a memory holds."""

    rows: dict[str, int]
    """Rows by table."""
    envs: Sequence[EnvStat]
    levels: Sequence[LevelStat] = ()
