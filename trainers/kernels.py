"""How good an episode's kernels are: fast_p of KernelBench, and how much of the work they do.

    fast_p = share of the episodes whose attempt is correct and more than p times as fast as the reference

Rule: an episode's attempt is its best, or its last; both are told, for what an episode is worth depends on whether one
may choose. Where no kernel was judged there is nothing to say.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from agents.measured import correct, coverage, measured, speedup
from agents.types import Episode
from trainers.algorithms.base import Metrics

__all__ = ["FASTER", "kernels"]

FASTER = (1.0, 1.2, 1.5, 2.0)
"""The p of fast_p; the paper's (arXiv 2602.05885)."""
LAZY = 0.3
"""Coverage below which a correct kernel hardly counts: the paper's tau."""


def kernels(episodes: Sequence[Episode]) -> Metrics:
    """Shares over these episodes and their attempts; empty where no kernel was judged in any."""
    attempts = [turn for episode in episodes for turn in episode.turns if measured(turn)]
    if not attempts:
        return {}
    right = [turn for turn in attempts if correct(turn)]
    best = [max(map(speedup, episode.turns), default=0.0) for episode in episodes]
    last = [speedup(episode.turns[-1]) if episode.turns else 0.0 for episode in episodes]
    found: Metrics = {
        "kernel/correct": len(right) / len(attempts),
        "kernel/best_speedup": statistics.fmean(best),
    }
    shares = [share for turn in right if (share := coverage(turn)) is not None]
    if shares:
        found["kernel/coverage"] = statistics.fmean(shares)
        found["kernel/lazy"] = sum(share < LAZY for share in shares) / len(shares)
    for name, speedups in (("fast", best), ("fast_last", last)):
        found |= {f"{name}/{p:g}": sum(value > p for value in speedups) / len(speedups) for p in FASTER}
    return found
