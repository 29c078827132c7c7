"""`trainer demo-memory`: SLEA-RL against its baselines where only a memory can know, and whether it was the memory.

One small model learns from demonstrations to take what is named, then to read notes, in a town of its own. From there
every arm goes, in another town, with the same tasks, the same budget and an empty library, once a seed. The arm `slea`
is then played again without its notes, and with any. Interrupted, it goes on where it was; what is finished is not
trained again.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from skills_db.lineage import EntryLineage
from skills_db.store import open_store
from trainers import metrics, recipe
from trainers.config import RunConfig
from trainers.display import Display
from trainers.evaluate import wilson
from trainers.examine import examine
from trainers.loop import train
from trainers.plot import draw
from trainers.run import Run, find_checkpoint
from trainers.worlds import worlds

__all__ = ["ARMS", "main"]

RECIPE = Path(__file__).parents[1] / "configs" / "memory.toml"
WITHOUT = ("context.retrieval=none", "memory.every=0")
_LEARNS = ("steps=0", "eval.every=1", "env.options.town=0", "sft.lr=2e-3")
READER = {
    "listener": (
        *_LEARNS,
        *WITHOUT,
        "env.options.houses=0",
        "env.tasks=3000",
        "sft.demonstrations=1500",
        "sft.epochs=4",
    ),
    "reader": (
        *_LEARNS,
        "env.options.houses=1000",
        "env.tasks=6000",
        "sft.demonstrations=4000",
        "sft.epochs=2",
        "memory.demonstrations=0.5",
    ),
}
"""Settings over the recipe of two runs, the second from the first one's weights. Where the text names the way out, the
listener learns to take the colour that is named; from nothing the reader would learn its houses by heart, not to read.
There are too many of these: half of its demonstrations fill a library, the others show its notes."""
ENTRIES = 2000
"""Of a library, at most, that are asked for their effect."""
PANELS = ("episode/success", "memory/entries")

ARMS: dict[str, tuple[str, ...]] = {
    "slea": (),
    "grpo": (*WITHOUT, 'algorithm={name="grpo", kl=0.0, minibatches=2}'),
    "gigpo": (*WITHOUT, 'algorithm={name="gigpo", kl=0.0, minibatches=2}'),
    "task": ("context.retrieval=task",),
    "random": ("context.retrieval=random",),
    "none": WITHOUT,
}
"""Settings of each arm over the recipe, which is SLEA-RL's."""
ABLATIONS: dict[str, tuple[dict[str, Any], bool]] = {
    "its notes": ({}, True),
    "no notes": ({}, False),
    "any notes": ({"retrieval": "random"}, True),
}
"""How the finished arm `slea` is played: options of its context, and whether there are notes."""


@dataclass(frozen=True, slots=True)
class Played:
    """Held-out episodes of several seeds."""

    won: list[int]
    """Of each seed."""
    count: list[int]

    def __str__(self) -> str:
        won, count = sum(self.won), sum(self.count)
        low, high = wilson(won, count)
        each = ", ".join(f"{w / n:.0%}" for w, n in zip(self.won, self.count, strict=True))
        return f"{won / max(1, count):.0%} [{low:.0%}, {high:.0%}] ({each})"


def main(pairs: Sequence[str], *, seeds: int) -> None:
    """Train every arm and tell; `pairs` are settings on top of configs/memory.toml. Raises what `train` raises."""
    began = time.monotonic()
    found = uvloop.run(_play(pairs, seeds))
    home = recipe.read(RECIPE, pairs).dir
    arms = {arm: [home / f"{arm}-s{seed}" for seed in range(1, seeds + 1)] for arm in ARMS}
    picture = draw([run for runs in arms.values() for run in runs], home / "memory", shown=PANELS, by_seed=True)
    console = Console(highlight=False)
    console.print(_arms(arms))
    console.print(_ablations(found))
    for line in _entries(arms["slea"]):
        console.print(line, soft_wrap=True)
    console.print(f"{(time.monotonic() - began) / 60:.1f} minutes; curves: {picture[0]}", soft_wrap=True)


async def _play(pairs: Sequence[str], seeds: int) -> dict[str, Played]:
    """Train what is not trained yet; how the arm `slea` plays with and without notes."""
    display = Display()
    runs = [Path()] * 0
    async with worlds(recipe.read(RECIPE, pairs).env) as gym:
        begin: tuple[str, ...] = ()
        for name, settings in READER.items():
            config = recipe.read(RECIPE, [f"name={name}", *pairs, *settings, *begin])
            display.say(
                f"{name}: {config.sft.demonstrations} demonstrations of town {config.env.options.get('town', 0)}"
            )
            await _trained(config, display, gym.url)
            begin = (f"model.path={find_checkpoint(config.directory).model}",)
        for arm, settings in ARMS.items():
            for seed in range(1, seeds + 1):
                config = recipe.read(RECIPE, [f"name={arm}-s{seed}", f"seed={seed}", *begin, *settings, *pairs])
                display.say(f"{config.name}: {config.steps} steps of town {config.env.options.get('town', 0)}")
                await _trained(config, display, gym.url)
                runs += [config.directory] if arm == "slea" else []
        found: dict[str, Played] = {}
        for how, (context, notes) in ABLATIONS.items():
            display.say(f"slea, played with {how}")
            played = [
                (
                    await examine(
                        [run],
                        split=None,
                        url=gym.url,
                        options={},
                        settings={},
                        display=Display(quiet=True),
                        context=context,
                        notes=notes,
                    )
                )[0][1]
                for run in runs
            ]
            found[how] = Played([round(one.success * one.count) for one in played], [one.count for one in played])
    return found


async def _trained(config: RunConfig, display: Display, url: str) -> None:
    """Train the run to its end, in a database of its own, which an unfinished beginning does not fill."""
    run = Run(config.directory)
    place = config.directory / "memory.db"
    if not run.checkpoints():
        for file in place.parent.glob(f"{place.name}*"):
            file.unlink()
    store = config.store.model_copy(update={"url": f"sqlite:///{place.absolute()}"})
    await train(config.model_copy(update={"store": store}), resume=True, display=display, url=url)


def _last(run: Path, name: str) -> float | None:
    values = [row[name] for row in metrics.read(Run(run).metrics) if name in row]
    return values[-1] if values else None


def _mean(runs: Sequence[Path], name: str, form: str) -> str:
    values = [value for run in runs if (value := _last(run, name)) is not None]
    return format(statistics.fmean(values), form) if values else ""


def _arms(arms: dict[str, list[Path]]) -> Table:
    table = Table("arm", "held-out success", "turns", "entries", "turns with notes", box=None)
    for arm, runs in arms.items():
        ends = [[row for row in metrics.read(Run(run).metrics) if "eval/success" in row][-1] for run in runs]
        count = [round(row["eval/episodes"]) for row in ends]
        played = Played([round(row["eval/success"] * n) for row, n in zip(ends, count, strict=True)], count)
        notes = [_mean(runs, name, form) for name, form in (("memory/entries", ".0f"), ("recall/turns_share", ".0%"))]
        table.add_row(arm, str(played), f"{statistics.fmean(row['eval/turns'] for row in ends):.1f}", *notes)
    return table


def _ablations(found: dict[str, Played]) -> Table:
    table = Table("slea, played with", "held-out success", box=None)
    for how, played in found.items():
        table.add_row(how, str(played))
    return table


def _entries(runs: Sequence[Path]) -> Iterator[str]:
    """What became of the entries that were shown, of each run."""
    for run in runs:
        with open_store(f"sqlite:///{(run / 'memory.db').absolute()}", create=False, readonly=True) as store:
            ids = [id for found in store.live(Run(run).config().env.name).values() for id in found][:ENTRIES]
            effects = [found.effect for id in ids if isinstance(found := store.lineage(str(id), limit=1), EntryLineage)]
        shown = [effect for effect in effects if effect.shown + effect.unmatched]
        told = [effect for effect in shown if effect.difference is not None]
        above = sum(effect.low is not None and effect.low > 0 for effect in told)
        below = sum(effect.high is not None and effect.high < 0 for effect in told)
        yield (
            f"{run.name}: {len(shown)} of {len(ids)} entries were shown; of {len(told)} whose tasks were also played "
            f"without them, {above} helped and {below} harmed (95 % interval beside 0)"
        )
