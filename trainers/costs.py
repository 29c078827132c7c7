"""What a token costs on this machine, measured with a run's own model: bytes where it is kept, and its share of time.

Rule: nothing here is a formula for a kind of model. Memory is what the tensors of a pass hold at its worst moment (on a
GPU what its allocator says), and what a token costs of it is the difference between two rows and one.
"""

from __future__ import annotations

import asyncio
import random
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from trainers.batch import Batch, Row, collate
from trainers.config import RunConfig
from trainers.engines.local import Local
from trainers.learner import Learner
from trainers.models import context_tokens, embedding_shape, parameter_count
from trainers.segments import Segment

__all__ = ["Costs", "measured", "worst_bytes"]

LONGEST = 512
"""Tokens of a measured row at most: enough that its own costs outweigh the pass's, and seconds on a CPU."""


@dataclass(frozen=True, slots=True)
class Costs:
    """One model on one machine."""

    parameters: int
    """Each tied one once."""
    weight_bytes: int
    """Of all weights."""
    learned_bytes: int
    """Of those that learn."""
    cached_token_bytes: float
    """Of the sampler's cache, a token."""
    trained_token_bytes: float
    """Of a forward and backward pass at its worst, a token of the batch."""
    read_tokens_per_s: float
    """Of prompts, by the sampler."""
    drawn_tokens_per_s: float
    """Of answers, by the sampler, over all who are in play."""
    trained_tokens_per_s: float
    """Forward and backward, by the learner, on one process."""
    step_s: float
    """An optimizer step."""
    row_tokens: int
    """Length of the rows it was measured with."""


def measured(config: RunConfig, model: nn.Module, *, critic: bool, reference: bool, share: float) -> Costs:
    """Costs of the run's model; `share` of a row's tokens are sampled. Its weights are other ones afterwards."""
    row = min(LONGEST, config.engine.context_tokens or LONGEST, context_tokens(model) - 1)
    rng = random.Random(0)
    weight_bytes = sum(p.nbytes for p in model.parameters())
    sessions = min(config.sampling.concurrency, config.engine.max_sessions, 64)
    read, drawn, cached = asyncio.run(_sampling(config, model, row, sessions, rng))
    learner = Learner(model, config.learner, device=config.model.device, critic=critic, reference=reference)
    needs = frozenset(["entropy", *["value"] * critic, *["reference"] * reference])

    def trained(rows: int) -> None:
        batch = _rows(rows, row, share, embedding_shape(model)[0], rng)
        forward = learner.forward(batch, needs)
        loss = -forward.logp_BL.sum() + (0 if forward.value_BL is None else forward.value_BL.sum())
        learner.backward(loss / batch.sampled_tokens)

    trained(1)  # the first pass makes the gradients, which stay
    slope = (worst_bytes(lambda: trained(2), learner.device) - worst_bytes(lambda: trained(1), learner.device)) / row
    several = max(1, min(config.learner.micro_tokens, 4 * LONGEST) // row)
    trained_s = _seconds(lambda: trained(several), learner.device)
    learner.step()
    trained(1)
    return Costs(
        parameters=parameter_count(model),
        weight_bytes=weight_bytes,
        learned_bytes=sum(p.nbytes for p in model.parameters() if p.requires_grad),
        cached_token_bytes=cached,
        trained_token_bytes=slope,
        read_tokens_per_s=read,
        drawn_tokens_per_s=drawn,
        trained_tokens_per_s=several * row / trained_s,
        step_s=_seconds(learner.step, learner.device),
        row_tokens=row,
    )


def worst_bytes(work: Callable[[], object], device: torch.device) -> int:
    """Most bytes of tensors that `work` makes and that are there at one time."""
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        work()
        return int(torch.cuda.max_memory_allocated(device) - before)
    with _Watch() as watch:
        work()
    return int(watch.most)


class _Watch(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Counts the storages that operations make, until nobody holds them any more."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.most = self._now = 0
        self._known: weakref.WeakKeyDictionary[Any, int] = weakref.WeakKeyDictionary()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        given = {t.untyped_storage() for t in tree_leaves((args, kwargs)) if isinstance(t, torch.Tensor)}
        out = func(*args, **(kwargs or {}))
        for tensor in tree_leaves(out):
            if isinstance(tensor, torch.Tensor):
                storage = tensor.untyped_storage()
                if storage not in given and storage not in self._known:
                    self._known[storage] = storage.nbytes()
                    self._now += storage.nbytes()
                    weakref.finalize(storage, self._gone, storage.nbytes())
        self.most = max(self.most, self._now)
        return out

    def _gone(self, size: int) -> None:
        self._now -= size


async def _sampling(
    config: RunConfig, model: nn.Module, row: int, sessions: int, rng: random.Random
) -> tuple[float, float, float]:
    """Tokens read and drawn a second, and bytes of the cache a token."""
    answer = max(2, min(16, row // 4))
    engine = Local(
        model,
        stop_ids=[],
        max_sessions=sessions,
        prefill_tokens=config.engine.prefill_tokens,
        threads=config.engine.threads,
    )
    try:
        await engine.load({}, 0)

        async def play(prompts: list[list[int]], tokens: int) -> tuple[float, list[list[int]]]:
            started = time.perf_counter()
            asked = (engine.sample(prompt, max_tokens=tokens, temperature=1.0) for prompt in prompts)
            drawn = await asyncio.gather(*asked)
            return time.perf_counter() - started, [p + s.ids for p, s in zip(prompts, drawn, strict=True)]

        def prompts() -> list[list[int]]:
            return [_ids(rng, row - answer - 1, embedding_shape(model)[0]) for _ in range(sessions)]

        await play(prompts(), 1)
        read_s, grown = await play(prompts(), 1)
        drawn_s, _ = await play(grown, answer)  # what was read is remembered
        return sessions * (row - answer) / read_s, sessions * answer / drawn_s, engine.cached_token_bytes
    finally:
        await engine.close()


def _rows(rows: int, length: int, share: float, vocabulary: int, rng: random.Random) -> Batch:
    sampled = max(1, round(share * length))
    mask = [False] * (length - sampled) + [True] * sampled
    mask[0] = False
    floats, turns = [0.0] * length, [0 if m else -1 for m in mask]
    made = [Segment(_ids(rng, length, vocabulary), mask, floats, floats, turns) for _ in range(rows)]
    return collate([Row(segment, number, 0, 1.0) for number, segment in enumerate(made)])


def _ids(rng: random.Random, n: int, vocabulary: int) -> list[int]:
    return [rng.randrange(vocabulary) for _ in range(n)]


def _seconds(work: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    started = time.perf_counter()
    work()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - started
