"""What worlds of kernels measure of an attempt, by the names that they measure it under.

Rule: a turn of which nothing was measured (an answer that could not be read, another kind of world) says so: it is
neither correct nor wrong.
"""

from __future__ import annotations

from agents.types import Turn

__all__ = ["correct", "coverage", "measured", "speedup"]


def measured(turn: Turn) -> bool:
    """Whether a kernel was judged in this turn."""
    return turn.result is not None and "correct" in turn.result.measured


def correct(turn: Turn) -> bool:
    """C: its output is right, and its kernels have a part in that."""
    return turn.result is not None and turn.result.measured.get("correct", 0.0) > 0


def speedup(turn: Turn) -> float:
    """The reference's time over its own, uncapped; 0 where it is not correct or was not timed."""
    return turn.result.measured.get("speedup", 0.0) if turn.result is not None and correct(turn) else 0.0


def coverage(turn: Turn) -> float | None:
    """Share of its time that its kernels take; None where that could not be told."""
    return turn.result.measured.get("coverage") if turn.result is not None else None
