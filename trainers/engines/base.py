"""An engine: a sampler whose weights can be replaced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from torch import Tensor

from agents.types import Sampler

__all__ = ["Engine"]


class Engine(Sampler, Protocol):
    """Samples from the weights of one version at a time."""

    version: int
    """Optimizer steps behind the weights that are loaded."""

    async def load(self, weights: Mapping[str, Tensor], version: int) -> None:
        """Sample from these weights from now on; every cached state of older weights is dropped."""
        ...

    def expect(self, requests: int | None) -> None:
        """Sample once so many have asked and not before, so that who asks first changes nothing; None: at once."""
        ...

    def report(self) -> Mapping[str, float]:
        """Metrics of what happened since this was asked last."""
        ...

    async def close(self) -> None:
        """Let go of everything; safe to call twice."""
        ...
