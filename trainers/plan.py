"""What fits a machine, and how long a step takes, from what a token costs there (`costs`).

Rule: an episode is taken to fill the whole context, so what is promised to fit does, and a step is no longer than said
but for the worlds. Memory that belongs to no token of ours (Python, libraries, an allocator's gaps) is `RESERVE` of it.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

from trainers.config import RunConfig
from trainers.costs import Costs

__all__ = ["Line", "Plan", "Setting", "machine_bytes"]

RESERVE = 0.1
"""Share of the memory that is left alone. Ours."""


class Line(NamedTuple):
    """A line of the table of memory."""

    what: str
    bytes: float
    how: str


@dataclass(frozen=True, slots=True)
class Setting:
    """What is to fit."""

    memory_bytes: float
    """Of one device; of the machine where it is the CPU, which its processes share."""
    processes: int
    """That share the learner's weights."""
    context: int
    """Tokens of an episode."""
    longest: int
    """What the model's positions allow."""
    sessions: int
    """Sequences whose cache is kept."""
    micro_tokens: int
    """Of a batch, on each process."""
    episodes: int
    """Of a step."""
    sampled_tokens: int
    """Of an episode."""
    passes: int
    """Over a step's episodes."""
    updates: int
    """Optimizer steps in a step."""
    reference: bool
    critic: bool
    served: bool
    """Whether somebody else samples (vLLM), with a memory of their own."""
    apart: bool
    """Whether the sampler here has weights of its own, because play runs ahead."""
    teacher_bytes: int
    """Of the weights of a teacher; 0 without one."""

    @staticmethod
    def of(
        config: RunConfig,
        *,
        memory_bytes: float,
        processes: int,
        context: int,
        longest: int,
        reference: bool,
        critic: bool,
        passes: int,
        minibatches: int,
        teacher_bytes: int,
    ) -> Setting:
        """Of a run."""
        drawn = min(config.player.max_turns * config.player.max_tokens, context - 1)
        return Setting(
            memory_bytes=memory_bytes,
            processes=processes,
            context=context,
            longest=longest,
            sessions=config.engine.max_sessions,
            micro_tokens=config.learner.micro_tokens,
            episodes=config.sampling.tasks_per_step * config.sampling.group_size,
            sampled_tokens=drawn,
            passes=passes,
            updates=passes * minibatches,
            reference=reference,
            critic=critic,
            served=config.engine.name == "vllm",
            apart=config.engine.name == "local" and config.sampling.staleness > 0,
            teacher_bytes=teacher_bytes,
        )


@dataclass(frozen=True, slots=True)
class Plan:
    """Costs put to a setting."""

    costs: Costs
    setting: Setting

    def memory(self) -> list[Line]:
        """What the first process holds, which holds most, at its worst moment."""
        costs, one = self.costs, self.setting
        shared = f" / {one.processes}" if one.processes > 1 else ""
        lines = [
            Line("weights", costs.weight_bytes / one.processes, f"{costs.parameters:,} parameters{shared}"),
            Line("gradients", costs.learned_bytes / one.processes, f"of what learns{shared}"),
            Line("AdamW's moments", 2 * costs.learned_bytes / one.processes, f"two of each that learns{shared}"),
        ]
        if one.reference:
            lines.append(Line("reference policy", costs.learned_bytes / one.processes, f"of what learns{shared}"))
        if one.critic:
            held = (costs.weight_bytes + 3 * costs.learned_bytes) / one.processes
            lines.append(Line("critic", held, f"weights, gradients, moments{shared}"))
        if one.processes > 1:
            lines.append(Line("whole weights", costs.weight_bytes, "the first process's, for the sampler"))
        if one.apart:
            lines.append(Line("sampler's weights", costs.weight_bytes, "its own, for play runs ahead"))
        if one.teacher_bytes:
            lines.append(Line("teacher", one.teacher_bytes, "its weights, which do not learn"))
        batch = max(one.micro_tokens, one.context)
        lines.append(
            Line(
                "a batch's pass",
                batch * costs.trained_token_bytes,
                f"{batch:,} tokens of {costs.trained_token_bytes:,.0f} B",
            )
        )
        if not one.served:
            cached = one.sessions * one.context * costs.cached_token_bytes
            each = f"{one.sessions:,} sessions of {one.context:,} tokens of {costs.cached_token_bytes:,.0f} B"
            lines.append(Line("cache", cached, each))
        return lines

    @property
    def needed_bytes(self) -> float:
        """All of it."""
        return sum(line.bytes for line in self.memory())

    @property
    def room_bytes(self) -> float:
        """What may be used."""
        return self.setting.memory_bytes * (1 - RESERVE)

    @property
    def fits(self) -> bool:
        """Whether it does."""
        return self.needed_bytes <= self.room_bytes

    def most(self) -> Iterator[tuple[str, int]]:
        """Settings and their largest values that fit while the others stay as they are; 0: none does."""
        if not self.setting.served:
            yield "engine.max_sessions", self._most("sessions")
        yield "context", self._most("context")
        yield "learner.micro_tokens", self._most("micro_tokens")

    def _most(self, name: str) -> int:
        def fits(value: int) -> bool:
            return Plan(self.costs, replace(self.setting, **{name: value})).fits  # type: ignore[arg-type]

        return _largest(fits, self.setting.longest if name == "context" else 2**40)

    def times(self) -> list[tuple[str, float]]:
        """Seconds of the parts of a step, the worlds' not among them."""
        costs, one = self.costs, self.setting
        read = one.episodes * (one.context - one.sampled_tokens) / costs.read_tokens_per_s
        drawn = one.episodes * one.sampled_tokens / costs.drawn_tokens_per_s
        learned = one.passes * one.episodes * one.context / (costs.trained_tokens_per_s * one.processes)
        return [
            ("reading prompts", read),
            ("drawing answers", drawn),
            ("forward and backward", learned),
            ("optimizer", one.updates * costs.step_s / one.processes),
        ]

    def text(self) -> str:
        """For people."""
        costs, one = self.costs, self.setting
        place = "each process" if one.processes > 1 else "this machine"
        lines = [f"{line.what:18} {_size(line.bytes):>10}   {line.how}" for line in self.memory()]
        lines += [
            f"{'needed':18} {_size(self.needed_bytes):>10}   of {_size(self.room_bytes)} that {place} may use: "
            f"{_size(one.memory_bytes)} less {RESERVE:.0%}",
            "",
            "it fits" if self.fits else "it does not fit",
            *(f"{name} up to {most:,}" if most else f"no {name} fits" for name, most in self.most()),
            "",
            *(f"{what:22} {seconds:>9,.1f} s" for what, seconds in self.times()),
            f"{'a step, but for worlds':22} {sum(seconds for _, seconds in self.times()):>9,.1f} s   "
            f"{one.episodes:,} episodes of {one.context:,} tokens, {one.sampled_tokens:,} of them sampled",
            "",
            f"measured with rows of {costs.row_tokens:,} tokens: {costs.read_tokens_per_s:,.0f} tokens/s read, "
            f"{costs.drawn_tokens_per_s:,.0f} drawn, {costs.trained_tokens_per_s:,.0f} trained",
        ]
        return "\n".join(lines)

    def told(self) -> dict[str, Any]:
        """For programs."""
        return {
            "fits": self.fits,
            "needed_bytes": round(self.needed_bytes),
            "room_bytes": round(self.room_bytes),
            "memory": {line.what: round(line.bytes) for line in self.memory()},
            "most": dict(self.most()),
            "times_s": dict(self.times()),
            "costs": asdict(self.costs),
            "setting": asdict(self.setting),
        }


def _size(found: float) -> str:
    """Bytes for people."""
    for unit in ("B", "KiB", "MiB"):
        if found < 1024:
            return f"{found:,.1f} {unit}"
        found /= 1024
    return f"{found:,.2f} GiB"


def _largest(fits: Callable[[int], bool], limit: int) -> int:
    """The largest number up to `limit` that fits, where all smaller ones do; 0 where none does."""
    low, high = 0, limit + 1
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if fits(middle) else (low, middle)
    return low


def machine_bytes(device: str) -> float:
    """Memory of a device: of a GPU all it has; of the CPU all of the machine's, or what its cgroup may use."""
    if device.startswith("cuda"):
        import torch

        return float(torch.cuda.get_device_properties(device).total_memory)
    found = float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for file in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            found = min(found, float(Path(file).read_text()))
        except (OSError, ValueError):  # not there, or "max"
            continue
    return found
