"""`trainer demo`: from nothing to an agent that plays TextWorld, told in one page.

Games are made, a server is started as its own process, a small model is built, warmed up on demonstrations and improved
by RL over HTTP; held-out success is measured before SFT, after SFT and after RL. Interrupted, it goes on where it was.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Sequence
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from envserver.client import Gym
from envserver.schema import Task
from trainers import metrics, recipe
from trainers.config import RunConfig
from trainers.display import Display
from trainers.loop import train
from trainers.run import Run
from trainers.tasks import fetch_keys
from trainers.worlds import worlds

__all__ = ["main"]

COLUMNS = ("success", "success_low", "success_high", "turns")

RECIPE = Path(__file__).parents[1] / "configs" / "demo.toml"
MAKERS = 4
"""Games asked for at once; a server makes as many at a time as it has workers."""


def main(args: Sequence[str]) -> None:
    """Run the demo; `args` are settings on top of configs/demo.toml. Raises what `train` raises."""
    config = recipe.read(RECIPE, list(args))
    config = config.model_copy(update={"name": _free_name(config)})
    began = time.monotonic()
    uvloop.run(_play(config))
    _report(config, time.monotonic() - began)


async def _play(config: RunConfig) -> None:
    display = Display()
    algorithm = config.algorithm.name  # type: ignore[attr-defined]
    display.say(
        f"worlds   TextWorld {config.env.options.get('family')}, {config.env.tasks} games to learn from, "
        f"{config.eval.tasks} held out, served over HTTP by a process of its own\n"
        f"player   a {config.model.scratch.layers}-layer Llama of width {config.model.scratch.hidden}, from nothing\n"
        f"learning {config.sft.demonstrations} demonstrations, then {config.steps} steps of {algorithm} with "
        f"{config.sampling.tasks_per_step} x {config.sampling.group_size} episodes\n"
        f"memory   every episode in SQL; run directory {config.directory}"
    )
    async with worlds(config.env) as gym:
        with display:
            await _make_games(config, gym, display)
        await train(config, resume=True, display=display, url=gym.url)


async def _make_games(config: RunConfig, gym: Gym, display: Display) -> None:
    """Open every game once, so that it is made and kept on disk before the clock of a step runs."""
    env = config.env
    keys = [
        *await fetch_keys(gym, env.name, env.split, limit=env.tasks, options=env.options),
        *await fetch_keys(gym, env.name, env.eval_split, limit=config.eval.tasks, options=env.options),
    ]
    room = asyncio.Semaphore(MAKERS)

    async def make(key: str) -> None:
        async with room:
            world = await gym.open(Task(env=env.name, key=key, options=env.options))
            await world.close()
        bar.advance()

    began = time.monotonic()
    with display.bar("making games", len(keys)) as bar:
        await asyncio.gather(*(make(key) for key in keys))
    display.say(f"games    {len(keys)} made or found on disk in {time.monotonic() - began:.0f} s")


def _free_name(config: RunConfig) -> str:
    """The run's name, or one with a number where that run is finished: an unfinished one goes on."""
    number, name = 1, config.name
    while (found := Run(config.dir / name).checkpoints()) and found[-1].step >= config.steps:
        number += 1
        name = f"{config.name}-{number}"
    return name


def _report(config: RunConfig, wall_s: float) -> None:
    rows = [row for row in metrics.read(config.directory / "metrics.jsonl") if "eval/success" in row]
    console = Console(highlight=False)
    table = Table("held-out games", "success", "95 % interval", "turns", box=None)
    stages = [("before SFT", "untrained", rows[0]), ("after SFT", "eval", rows[0]), ("after RL", "eval", rows[-1])]
    for stage, prefix, row in stages:
        success, low, high, turns = (row[f"{prefix}/{name}"] for name in COLUMNS)
        table.add_row(stage, f"{success:.0%}", f"[{low:.0%}, {high:.0%}]", f"{turns:.1f}")
    console.print(table)
    command = "" if os.environ.get("VIRTUAL_ENV") else ".venv/bin/"
    console.print(
        f"{wall_s / 60:.1f} minutes; curve: {config.directory / 'curve.png'}\n\n"
        "try next:\n"
        f"  {command}trainer replay {config.directory} --episode -1 --tokens\n"
        f'  {command}skills find "take" --env {config.env.name} --limit 5\n'
        f"  {command}envserver play {config.env.name}",
        soft_wrap=True,
    )
