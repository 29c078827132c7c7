"""One unit of training: an episode becomes segments by one prefix test.

Walk the turns. While the next prompt begins with exactly the ids so far, the segment grows; otherwise a new one begins.
Windows, summaries and retrieval all fall out of that test, so no algorithm needs a trajectory type of its own.
A turn that the next prompt drops (`Prompt.drops_last`) is in no segment: nothing that came after it has read it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from agents.types import Episode

__all__ = ["Segment", "segments"]


@dataclass(slots=True)
class Segment:
    """Four lists of one length (L,)."""

    ids: list[int] = field(default_factory=list)
    mask: list[bool] = field(default_factory=list)
    """True where the policy sampled the id."""
    logprobs: list[float] = field(default_factory=list)
    """Nats, of the distribution sampled from; 0 where mask is False."""
    advantages: list[float] = field(default_factory=list)
    """The turn's one number on each of its sampled ids; 0 where mask is False."""
    turns: list[int] = field(default_factory=list)
    """(L,) index of the turn a sampled id belongs to; -1 where mask is False."""

    def __len__(self) -> int:
        return len(self.ids)

    def _read(self, ids: Sequence[int]) -> None:
        """Append ids the policy was shown."""
        n = len(ids)
        self.ids += ids
        self.mask += [False] * n
        self.logprobs += [0.0] * n
        self.advantages += [0.0] * n
        self.turns += [-1] * n


def segments(episode: Episode, advantages: Sequence[float]) -> list[Segment]:
    """Segments of an episode, in order; `advantages` (T,) is one number a turn.

    A turn with advantage exactly 0 still trains nothing but keeps its place in the segment. Raises ValueError where the
    two lengths differ or a turn carries no token ids.
    """
    if len(advantages) != len(episode.turns):
        raise ValueError(f"{len(advantages)} advantages for {len(episode.turns)} turns")
    out: list[Segment] = []
    for index, (turn, advantage) in enumerate(zip(episode.turns, advantages, strict=True)):
        prompt_ids, sample = turn.move.prompt_ids, turn.move.sample
        if not prompt_ids or len(sample.ids) != len(sample.logprobs):
            raise ValueError(f"turn {index} carries no token ids with log-probabilities; it cannot be trained on")
        if turn.prompt.drops_last and index:
            _forget(out, index - 1)
        segment = out[-1] if out else None
        if segment is None or prompt_ids[: len(segment)] != segment.ids:
            segment = Segment()
            out.append(segment)
        segment._read(prompt_ids[len(segment) :])
        n = len(sample.ids)
        segment.ids += sample.ids
        segment.mask += [True] * n
        segment.logprobs += sample.logprobs
        segment.advantages += [advantage] * n
        segment.turns += [index] * n
    return out


def _forget(out: list[Segment], turn: int) -> None:
    """Take a segment's last turn out of it, with what was read since the turn before."""
    segment = out[-1]
    end = max((at + 1 for at, one in enumerate(segment.turns) if 0 <= one < turn), default=0)
    if not end:
        out.pop()
        return
    for column in (segment.ids, segment.mask, segment.logprobs, segment.advantages, segment.turns):
        del column[end:]
