"""The reward of a kernel, with its profile: Dr. Kernel (arXiv 2602.05885), Eq. 1 and PR.

    R_t = C + C min(speedup, 3) + profile C PR            C: correct and no decoy      PR: coverage, in 0 .. 1

The paper's: the formula, the cap, PR with weight 1: the share of the time that is spent in submitted kernels pays for
itself, so that a kernel which does next to nothing beside torch (a lazy one, correct and no slower) earns less than one
that does the work. Its code has `scale` 0.5.
Ours: it is made of what the world measured (`correct`, `speedup`, `coverage`), so it does not matter which reward the
world itself makes of an attempt; a turn of which nothing was measured keeps the world's. Where a coverage cannot be
told PR is 0. `profile = 0` is Eq. 1 alone.
"""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from agents.measured import correct, coverage, measured, speedup
from agents.types import Episode, Turn
from trainers.shapers.base import Shaper, ShaperConfig

__all__ = ["Kernel"]


class KernelConfig(ShaperConfig):
    """Settings of the kernel reward."""

    name: str = "kernel"
    """The shaper's registry name."""
    cap: float = Field(3.0, gt=0)
    """Speed-up above which more earns nothing."""
    profile: float = Field(1.0, ge=0)
    """Weight of PR, the share of the time that is spent in submitted kernels; 0: it earns nothing."""
    scale: float = Field(1.0, gt=0)
    """Factor on the whole."""


class Kernel(Shaper):
    """Pays an attempt for being correct, for its speed, and for doing the work itself."""

    Config: ClassVar[type[ShaperConfig]] = KernelConfig
    config: KernelConfig

    def shape(self, episode: Episode, rewards: list[float]) -> list[float]:
        """(T,) -> (T,): the reward of each attempt."""
        return [
            self._worth(turn) if measured(turn) else reward for turn, reward in zip(episode.turns, rewards, strict=True)
        ]

    def _worth(self, turn: Turn) -> float:
        if not correct(turn):
            return 0.0
        share = min(max(coverage(turn) or 0.0, 0.0), 1.0)
        return self.config.scale * (1 + min(speedup(turn), self.config.cap) + self.config.profile * share)
