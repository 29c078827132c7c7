"""What references of the kernel suite take on one core: run by `envserver.bench.suite` in a process of its own.

Problems are ours, so they are executed here as they are. A call's time is the CPU time of its thread, which other work
on the machine hardly changes.
"""

from __future__ import annotations

import json
import sys
import time
import types
from dataclasses import dataclass
from typing import Any

from envserver.envs._kernel.problems import problem

__all__ = ["Asked", "Took"]

WARM = 2
CALLS = 11
ENOUGH_S = 1.5


@dataclass(frozen=True)
class Asked:
    """Whose times are wanted."""

    keys: tuple[str, ...]


@dataclass(frozen=True)
class Took:
    """One problem's reference."""

    size_bytes: int
    """Of inputs and outputs."""
    low_ms: float
    """The lower quartile of its calls."""
    median_ms: float
    high_ms: float


def measured(key: str) -> Took:
    """Calls of a reference on fresh inputs each."""
    import torch

    torch.set_num_threads(1)
    module: Any = types.ModuleType("reference")
    exec(compile(problem(key, "cpu").source, f"{key}.py", "exec"), module.__dict__)
    torch.manual_seed(0)
    model, size_bytes = module.Model(*module.get_init_inputs()), 0
    times: list[float] = []
    while len(times) < WARM + CALLS and sum(times) < ENOUGH_S:
        inputs = module.get_inputs()
        with torch.no_grad():
            began = time.thread_time()
            given = model(*inputs)
            times.append(time.thread_time() - began)
        tensors = [*inputs, *(given if isinstance(given, tuple) else (given,))]
        size_bytes = sum(one.numel() * one.element_size() for one in tensors)
    kept = sorted(times[WARM:] or times)
    low, median, high = (1e3 * kept[int(share * (len(kept) - 1))] for share in (0.25, 0.5, 0.75))
    return Took(size_bytes, low, median, high)


if __name__ == "__main__":
    found = {key: vars(measured(key)) for key in json.load(sys.stdin)["keys"]}
    print(json.dumps(found))
