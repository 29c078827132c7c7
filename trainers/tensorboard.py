"""The metrics of a run as TensorBoard event files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from torch.utils.tensorboard import SummaryWriter

__all__ = ["TensorBoard"]


class TensorBoard:
    """Writes next to metrics.jsonl what stands in it."""

    def __init__(self, directory: Path, *, after_step: int) -> None:
        """A resumed run hides whatever was written for steps later than `after_step`."""
        self._writer = SummaryWriter(str(directory), purge_step=after_step + 1, flush_secs=5)

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """One step."""
        for name, value in metrics.items():
            if math.isfinite(value):
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        """Flush what is left."""
        self._writer.close()
