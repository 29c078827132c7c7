"""The commands `trainer plan`, `bench`, `bench-gpu`, `demo`, `demo-memory`: what fits a machine, what shows on it."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Annotated

import typer

from trainers.installed import needs_training

__all__ = ["bench", "bench_gpu", "demo", "demo_memory", "plan"]

Pairs = Annotated[list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Settings on top of the file.")]


def plan(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A run's TOML file, or the directory of a run.")],
    pairs: Pairs = None,
    context: Annotated[
        int | None, typer.Option(min=2, help="Tokens of an episode; default: all that the run allows.")
    ] = None,
    memory: Annotated[
        float | None, typer.Option(min=0.001, metavar="GIB", help="Of a device; default: what is here.")
    ] = None,
    processes: Annotated[int, typer.Option(min=1, help="That share the learner's weights, by torchrun.")] = 1,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Measure what a token costs here, and say whether a run fits, how much more would, and how long a step takes."""
    from trainers.recipe import read_run

    config = read_run(file, pairs or [])
    needs_training()
    from trainers.planning import planned

    found = planned(config, context=context, memory_gib=memory, processes=processes)
    print(json.dumps(found.told(), indent=2) if as_json else found.text())
    if not found.fits:
        raise typer.Exit(1)


def bench(context: typer.Context) -> None:
    """Measure rollouts against Hugging Face's generate, and where the time goes."""
    needs_training()
    importlib.import_module("trainers.bench").main(context.args)


def bench_gpu(
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Over configs/bench_gpu.toml; model.path=DIR.")
    ] = None,
) -> None:
    """SFT and RL of a real model on a GPU: held-out success, tokens a second, share of the device, memory."""
    needs_training()
    importlib.import_module("trainers.bench_gpu").main(pairs or [])


def demo(context: typer.Context) -> None:
    """Train a small agent on TextWorld games from nothing, in about ten minutes."""
    needs_training()
    importlib.import_module("trainers.demo").main(context.args)


def demo_memory(
    pairs: Annotated[
        list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Over configs/memory.toml.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, max=20, help="Runs of each arm.")] = 3,
) -> None:
    """SLEA-RL against GRPO, GiGPO and static notes where only a memory can know, and whether it was the memory."""
    needs_training()
    importlib.import_module("trainers.memory_demo").main(pairs or [], seeds=seeds)
