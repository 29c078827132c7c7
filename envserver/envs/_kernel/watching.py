"""What torch does during a call: names of its operators, their results, and the time they take inside of kernels."""

from __future__ import annotations

from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode

from envserver.envs._kernel.libraries import METER

__all__ = ["CAPTURED", "Watching"]

CAPTURED = 64
"""Results that are kept of a call."""


class Watching(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Names of operators and, where `numel` says so, their results of that many elements."""

    def __init__(self, numel: int = -1) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numel = numel
        self.names: list[str] = []
        self.kept: list[torch.Tensor] = []
        self.inside_s = 0.0
        """Time of operators that kernels have called, while METER is on."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        return False  # or torch imports its compiler at the first call, which takes seconds

    def __torch_dispatch__(self, func: Any, kinds: Any, args: Any = (), kwargs: Any = None) -> Any:
        began = METER.time() if METER.inside else 0.0
        result = func(*args, **(kwargs or {}))
        if METER.inside:
            self.inside_s += METER.time() - began
        self.names.append(func.overloadpacket.__name__)
        for one in result if isinstance(result, (tuple, list)) else [result]:
            if isinstance(one, torch.Tensor) and one.numel() == self.numel and len(self.kept) < CAPTURED:
                self.kept.append(one.detach().clone())
        return result
