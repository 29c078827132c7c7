"""Episodes of kernels that were judged, from plain numbers."""

from __future__ import annotations

from dataclasses import replace

import by_hand

from agents.types import Episode, Reply, Turn


def attempts(*found: dict[str, float] | None, reward: float = 0.0, tokens: int = 1) -> Episode:
    """An episode with what was measured of each attempt; None: an answer that could not be read."""
    episode = by_hand.episode([reward] * len(found), tokens=tokens)
    episode.turns = [_measured(turn, values) for turn, values in zip(episode.turns, found, strict=True)]
    return episode


def good(speedup: float, coverage: float | None = None) -> dict[str, float]:
    """What is measured of a correct attempt."""
    share = {} if coverage is None else {"coverage": coverage}
    return {"correct": 1.0, "speedup": speedup, **share}


WRONG = {"correct": 0.0}


def _measured(turn: Turn, values: dict[str, float] | None) -> Turn:
    if values is None:
        return replace(turn, reply=Reply(None, complaint="No code."), result=None)
    assert turn.result is not None
    return replace(turn, result=turn.result.model_copy(update={"measured": values}))
