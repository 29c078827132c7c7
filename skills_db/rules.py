"""What gets into a library and what leaves it, and the count of what happened.

After SLEA-RL (arXiv 2603.18079): a level takes `capacity` entries; beyond that a new one must score above the lowest,
which is retired; an evolution step, which is one call, admits no more than `rate`; advice that says the same is merged.
The numbers are the paper's. Forgetting what is unused or harmful is ours. Nothing is deleted: a retired entry keeps its
text, its showings and the reason.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from skills_db.errors import BadRecord

__all__ = ["Changes", "Merged", "Reason", "Refusal", "Rules"]

Reason = Literal["score", "merged", "unused", "harmful", "pruned", "hand"]
"""Why an entry was retired: for a better one, into a like one, not shown, success lower with it, `prune`, by hand."""

Refusal = Literal["rate", "score", "retired", "long"]
"""Why one was not admitted: enough for this step, no better than the lowest, retired before as harmful or by hand, more
characters than can be kept."""


@dataclass(frozen=True, slots=True)
class Rules:
    """The policy. None switches a rule off."""

    capacity_skills: int | None = 100
    """Entries of kind `skill` that one level of an environment holds."""
    capacity_failures: int | None = 50
    """Entries of kind `failure` that one level of an environment holds."""
    rate_skills: int | None = 10
    """Skills admitted in one call."""
    rate_failures: int | None = 5
    """Failures admitted in one call."""
    merge: float | None = 0.85
    """Cosine of two pieces of advice, of one environment, kind and level, from which they are one."""
    unused_days: float | None = None
    """An entry not shown for so long, nor added since, is retired."""
    unused_episodes: int | None = None
    """An entry not shown in so many last episodes of its environment, nor added since, is retired."""
    harmful: float | None = 0.95
    """An entry is retired where the interval of its effect lies wholly below 0. The confidence is that of the intervals
    of all entries at once (Bonferroni), so that one among many is not retired by chance."""
    harmful_episodes: int = 10
    """With fewer episodes than this, with the entry or without it, nothing is called harmful."""

    def __post_init__(self) -> None:
        for name in ("capacity_skills", "capacity_failures", "rate_skills", "rate_failures"):
            value = getattr(self, name)
            if value is not None and value < 0:
                raise BadRecord(f"{name} is {value}: say 0 or more, or None for no limit")
        if self.unused_episodes is not None and self.unused_episodes < 1:
            raise BadRecord(f"unused_episodes is {self.unused_episodes}: say 1 or more, or None for no limit")
        if self.merge is not None and not 0 < self.merge <= 1:
            raise BadRecord(f"merge is {self.merge}: a cosine above 0 and at most 1, or None to merge nothing")
        if self.harmful is not None and not 0 < self.harmful < 1:
            raise BadRecord(f"harmful is {self.harmful}: a confidence between 0 and 1, or None to retire nothing by it")
        if self.unused_days is not None and not 0 <= self.unused_days < 1e6:
            raise BadRecord(f"unused_days is {self.unused_days}: say 0 or more days, or None for no limit")

    def capacity(self, kind: str) -> int | None:
        """Of one level."""
        return self.capacity_skills if kind == "skill" else self.capacity_failures

    def rate(self, kind: str) -> int | None:
        """Of one call."""
        return self.rate_skills if kind == "skill" else self.rate_failures


@dataclass(frozen=True, slots=True)
class Merged:
    """One entry that is part of another."""

    entry: int
    into: int
    cosine: float


@dataclass(frozen=True, slots=True)
class Changes:
    """What one call did to the library; each item that was offered is admitted, known, merged or refused."""

    admitted: Sequence[int] = ()
    """Ids of the entries that are new, or taken up again."""
    known: Sequence[int] = ()
    """Ids of the entries that were offered and already there."""
    merged: Sequence[Merged] = ()
    refused: Mapping[Refusal, int] = field(default_factory=dict)
    retired: Mapping[Reason, Sequence[int]] = field(default_factory=dict)
    """Ids of the entries that were there and left, by the reason."""

    def counts(self) -> dict[str, int]:
        """One number each, as a run logs them."""
        return {
            "admitted": len(self.admitted),
            "known": len(self.known),
            "merged": len(self.merged),
            "refused": sum(self.refused.values()),
            "retired": sum(len(ids) for ids in self.retired.values()),
        }
