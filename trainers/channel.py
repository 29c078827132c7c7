"""How the processes that torchrun started talk: who is there, what is said to all, dealt out, and collected.

What is said travels by gloo beside whatever carries tensors, for it may be long until the next word.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed.device_mesh import init_device_mesh

__all__ = ["Channel", "rank", "size"]

T = TypeVar("T")

PATIENCE = timedelta(days=30)
"""How long the others wait for the next word, while the first process plays."""


def rank() -> int:
    """Which of torchrun's processes this is; 0 is the first, and the only one where there is no torchrun."""
    return int(os.environ.get("RANK", "0"))


def size() -> int:
    """How many processes torchrun started."""
    return int(os.environ.get("WORLD_SIZE", "1"))


class Channel:
    """All processes, met. Every call is made by all of them, in the same order."""

    def __init__(self, device: str | None = None) -> None:
        """The first process says on which kind of device all compute. Raises RuntimeError where they do not meet."""
        if not dist.is_initialized():
            dist.init_process_group("cpu:gloo,cuda:nccl" if torch.cuda.is_available() else "gloo")
            atexit.register(dist.destroy_process_group)
        self._group = dist.new_group(backend="gloo", timeout=PATIENCE)
        kind = torch.device(self.said(device)).type
        self.device = (
            torch.device(kind, int(os.environ.get("LOCAL_RANK", "0"))) if kind == "cuda" else torch.device(kind)
        )
        """This process's own."""
        self.settle()
        self.mesh = init_device_mesh(kind, (dist.get_world_size(),))

    def settle(self) -> None:
        """Make the device this thread's own: CUDA remembers one for each thread."""
        if self.device.type == "cuda":
            torch.cuda.set_device(self.device)

    def said(self, word: Any = None) -> Any:
        """What the first process says."""
        box = [word]
        dist.broadcast_object_list(box, src=0, group=self._group)
        return box[0]

    def dealt(self, parts: Sequence[T] | None = None) -> T:
        """This process's own of the parts that the first one has."""
        box: list[Any] = [None]
        dist.scatter_object_list(box, None if parts is None else list(parts), src=0, group=self._group)
        found: T = box[0]
        return found

    def collected(self, own: T) -> list[T]:
        """Everybody's own, in the order of the processes; empty but in the first one."""
        box: list[Any] | None = [None] * dist.get_world_size() if rank() == 0 else None
        dist.gather_object(own, box, dst=0, group=self._group)
        return box or []
