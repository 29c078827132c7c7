"""A learner that can be told to wait between two micro-batches."""

from __future__ import annotations

from collections.abc import Callable

from trainers.algorithms.base import Forward
from trainers.batch import Batch
from trainers.learner import Learner

__all__ = ["Pupil"]


class Pupil(Learner):
    """Every forward pass begins a micro-batch, so there it stands for as long as `boundary` lets it."""

    boundary: Callable[[], None] = staticmethod(lambda: None)

    def forward(self, batch: Batch, needs: frozenset[str] = frozenset()) -> Forward:
        """As a learner's, once `boundary` returns; raises what it raises."""
        self.boundary()
        return super().forward(batch, needs)

    def forget(self) -> None:
        """Drop the gradients of an update that is not finished."""
        self.optimizer.zero_grad(set_to_none=True)
