"""One game of ALFWorld as data: the problem and what is said about it; what is the same in all games is not in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

__all__ = ["Dialect", "GameUnreadable", "Row"]

Dialect = Literal["0.4", "0.2"]
"""`0.4`: "move X to Y", "You arrive at shelf 1.", `help`. `0.2`: "put X in/on Y", "You arrive at loc 11."."""


class GameUnreadable(ValueError):
    """The game cannot be played; the sentence says what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Row:
    """One game, a line of the packed JSONL."""

    id: str
    """Split, task and trial, as the official directories are called."""
    task: str
    """The goal as a sentence without its full stop: "put a clean mug in desk"."""
    task_type: str
    """`pick_and_place_simple` and the five others."""
    params: Mapping[str, Any] = field(hash=False)
    """ALFRED's `pddl_params`: object_target, parent_target, toggle_target, mrecep_target, object_sliced."""
    anns: tuple[str, ...]
    """The goal in people's words."""
    problem: str
    """The PDDL problem's text."""
