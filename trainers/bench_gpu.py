"""`trainer bench-gpu`: SFT and RL of a real model through our server, and what of the device they use.

    trainer bench-gpu model.path=DIR [KEY=VALUE ...]      settings on top of configs/bench_gpu.toml

Success is on held-out tasks, before SFT, after it and after RL. Tokens are ids that were sampled, and ids that went
forward and backward, each over the time of its phase in the RL steps but the first, which warms up. The share of the
device is six operations a weight and trained id (attention's own are left out) over what a plain bfloat16 product of
two square matrices reaches on the same device in the same process.
"""

from __future__ import annotations

import platform
import resource
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
import uvloop

from trainers import metrics, recipe
from trainers.ahead import Ahead
from trainers.algorithms.base import Forward
from trainers.batch import Batch
from trainers.config import RunConfig
from trainers.display import Display
from trainers.learner import Learner
from trainers.loop import begin, one_step
from trainers.models import parameter_count
from trainers.parts import assembled
from trainers.plot import draw
from trainers.plugged import BadConfig

__all__ = ["Measured", "main", "measure"]

RECIPE = Path(__file__).parents[1] / "configs" / "bench_gpu.toml"
STAGES = (("before SFT", 0, "untrained"), ("after SFT", 0, "eval"), ("after RL", -1, "eval"))
OPERATIONS = 6
"""A weight and trained id: two forward, four backward."""
PRODUCTS = 20
FIGURES = ("sampled, tokens/s", "trained, tokens/s", "share of a bfloat16 product", "GiB", "mismatch, nats", "step, s")


@dataclass(frozen=True)
class Measured:
    """What a run showed."""

    device: str
    weights: int
    stages: list[tuple[str, float, float, float]]
    """Stage, held-out success, and its 95 % interval."""
    sampled_s: float
    """Ids sampled a second of play."""
    trained_s: float
    """Ids that went forward and backward a second of learning."""
    share: float
    """Of what a plain product of bfloat16 matrices reaches here."""
    peak_gib: float
    """Of the device's memory that tensors held; on a CPU what the process held."""
    mismatch_nats: float
    """Largest of a step's mean difference of trainer and sampler."""
    step_s: float
    curve: Path

    def as_markdown(self) -> str:
        """Two tables under the device's name."""
        out = [f"{self.device}, {self.weights:,} weights", ""]
        out += ["| held-out tasks | success | 95 % interval |", "|---|---|---|"]
        out += [f"| {stage} | {success:.0%} | [{low:.0%}, {high:.0%}] |" for stage, success, low, high in self.stages]
        out += ["", f"| {' | '.join(FIGURES)} |", "|---|---|---|---|---|---|"]
        figures = f"{self.sampled_s:,.0f} | {self.trained_s:,.0f} | {self.share:.1%} | {self.peak_gib:.2f}"
        out += [f"| {figures} | {self.mismatch_nats:.1e} | {self.step_s:.1f} |", "", f"curve: {self.curve}"]
        return "\n".join(out)


def main(pairs: Sequence[str]) -> None:
    """Print what `measure` finds. Raises what `train` raises, and BadConfig for a config without evaluation."""
    print(measure(recipe.read(RECIPE, list(pairs)), Display()).as_markdown())


def measure(config: RunConfig, display: Display) -> Measured:
    """Train the run and measure it; it begins anew where there is one of its name."""
    if config.steps < 2 or not config.eval.every or not config.sft.demonstrations:
        raise BadConfig("the bench wants at least 2 steps, eval.every and sft.demonstrations; set all three")
    with display:
        rows, trained, device, weights = uvloop.run(_trained(config, display))
    draw([config.directory])
    steps = rows[2:]
    learned_s = sum(row["time/update_s"] for row in steps)
    trained_s = sum(trained[1:]) / learned_s
    gpu = device.type == "cuda"
    held = torch.cuda.max_memory_allocated(device) if gpu else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10
    evaluated = [row for row in rows if "eval/success" in row]
    return Measured(
        device=torch.cuda.get_device_name(device) if gpu else f"CPU ({platform.machine()})",
        weights=weights,
        stages=[
            (stage, row[f"{prefix}/success"], row[f"{prefix}/success_low"], row[f"{prefix}/success_high"])
            for stage, row, prefix in ((stage, evaluated[place], prefix) for stage, place, prefix in STAGES)
        ],
        sampled_s=sum(row["tokens/sampled"] for row in steps) / sum(row["time/rollout_s"] for row in steps),
        trained_s=trained_s,
        share=OPERATIONS * weights * trained_s / product_operations_s(device),
        peak_gib=held / (1 << 30),
        mismatch_nats=max(row["policy/mismatch_mean_nats"] for row in steps),
        step_s=sum(row["time/step_s"] for row in steps) / len(steps),
        curve=config.directory / "curve.png",
    )


async def _trained(config: RunConfig, display: Display) -> tuple[list[dict[str, float]], list[int], torch.device, int]:
    """The run's rows, the ids trained in each RL step, where, and how many weights."""
    async with assembled(config, resume=False, display=display) as parts:
        count = _counted(parts.learner)
        await begin(parts)
        trained = []
        async with Ahead(parts) as ahead:
            while parts.step < config.steps:
                before = count[0]
                await one_step(parts, ahead)
                trained.append(count[0] - before)
        return (
            list(metrics.read(parts.run.metrics)),
            trained,
            parts.learner.device,
            parameter_count(parts.learner.model),
        )


def _counted(learner: Learner) -> list[int]:
    """A count, in a list of one, of the ids that the learner reads with gradients from here on."""
    count, forward = [0], learner.forward

    def counting(batch: Batch, needs: frozenset[str] = frozenset()) -> Forward:
        count[0] += int(batch.real_BL.sum()) if torch.is_grad_enabled() else 0
        return forward(batch, needs)

    learner.forward = counting  # type: ignore[method-assign]
    return count


def product_operations_s(device: torch.device) -> float:
    """Operations a second of a bfloat16 product of two square matrices."""
    side = 8192 if device.type == "cuda" else 512
    one_SS = torch.randn(side, side, dtype=torch.bfloat16, device=device)

    def taken_s(times: int) -> float:
        started = time.perf_counter()
        for _ in range(times):
            one_SS @ one_SS
        if device.type == "cuda":
            torch.cuda.synchronize(device)
        return time.perf_counter() - started

    taken_s(3)
    return 2 * side**3 * PRODUCTS / taken_s(PRODUCTS)
