"""The loop: choose, collect, shape, admit (`ahead`), evolve, advantages, rows, update, load, remember; evaluate, write
it down.

Rule: whatever ends it, the run can go on. What a step changes (weights, task pool, books) becomes true at one moment,
and a checkpoint holds only whole steps; SIGKILL loses what came after the last one, Ctrl-C and errors only the step
under way and, with `sampling.staleness` = k, the play of up to k steps after it.
"""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Sequence
from contextlib import nullcontext

from agents.types import Episode
from envserver.schema import Task
from skills_db.types import DEMONSTRATION
from trainers.ahead import Ahead
from trainers.algorithms.base import Group, Metrics
from trainers.config import RunConfig
from trainers.display import Display
from trainers.evaluate import evaluate
from trainers.learn import learn
from trainers.parts import Parts, assembled
from trainers.plot import draw
from trainers.run import Run
from trainers.sft import sft
from trainers.shown import show
from trainers.teacher import demonstrations
from trainers.unbroken import unbroken

__all__ = ["Stalled", "train"]

BARREN_STEPS = 3
"""After so many steps in a row without a single valid episode the run stops."""
SKIPPED_STEPS = 3
"""And after so many of which no optimizer step had a finite gradient."""


class Stalled(RuntimeError):
    """Raised when no episode is valid any more, or no gradient finite."""


async def train(
    config: RunConfig, *, resume: bool = False, display: Display | None = None, url: str | None = None
) -> Run:
    """Train to `config.steps` and return the run. Raises BadConfig, GymError, StoreError, Stalled, ValueError.

    With `resume` a run that has a checkpoint goes on from it. Cancelling it (Ctrl-C) writes a checkpoint first. `url`
    is a server to play on this time, whatever the config says; it is not written down.
    """
    with display or Display(quiet=True) as shown:
        async with assembled(config, resume=resume, display=shown, url=url) as parts:
            try:
                if not parts.begun:
                    await begin(parts)
                async with Ahead(parts) as ahead:
                    while parts.step < config.steps:
                        await one_step(parts, ahead)
            except (Exception, asyncio.CancelledError):
                await unbroken(leave(parts))
                raise
            await asyncio.to_thread(draw, [parts.run.directory])
        return parts.run


async def leave(parts: Parts) -> None:
    """What an interrupted run leaves: the step that is done, a checkpoint of it, and the curve so far."""
    await write_down(parts, checkpoint=parts.unsaved)
    if parts.begun:
        await asyncio.to_thread(draw, [parts.run.directory])


async def begin(parts: Parts) -> None:
    """Step 0: learn from demonstrations where the config says so, and see how good the policy is before and after."""
    config, metrics = parts.config, Metrics()
    if config.sft.demonstrations:
        if config.eval.every:
            found = await held_out(parts)
            metrics |= {name.replace("eval/", "untrained/"): value for name, value in found.items()}
        tasks = parts.pool.first(config.sft.demonstrations)
        shown = await imitated(parts, tasks)
        metrics |= await warm_up(parts, shown)
        if parts.evolution is not None:
            metrics |= await parts.evolution.open(parts.step)  # demonstrations may have filled the library
    parts.close_step(metrics)
    if config.eval.every:
        parts.row |= await held_out(parts)
    await unbroken(write_down(parts, checkpoint=True))


async def imitated(parts: Parts, tasks: Sequence[Task]) -> list[Episode]:
    """The demonstrations to learn from; where the first of them fill the library, the others have its notes."""
    config, evolution = parts.config, parts.evolution
    show = functools.partial(demonstrations, config, parts.gym, chat=parts.player.chat, display=parts.display)
    first = round(len(tasks) * config.memory.demonstrations) if evolution is not None else 0
    if evolution is None or not first:
        return await show(tasks)
    taught = await show(tasks[:first])
    await remembered(parts, taught)
    with await evolution.begun(taught):
        later = await show(tasks[first:], library=evolution.library) if tasks[first:] else []
    await remembered(parts, later)
    return [*taught, *later]


async def remembered(parts: Parts, demonstrations: Sequence[Episode]) -> None:
    """Keep them where the lineage of what they teach, or are shown, finds them."""
    for episode in demonstrations:
        await parts.memory.keep(episode, split=DEMONSTRATION, step=parts.step)
    await parts.memory.settle()


async def warm_up(parts: Parts, shown: Sequence[Episode]) -> Metrics:
    """SFT on demonstrations; nothing is kept of it where it is stopped."""
    found = await sft(parts.learner, shown, parts.config.sft, seed=parts.config.seed, display=parts.display)
    await parts.engine.load(parts.learner.weights(), parts.learner.version)
    return found


async def one_step(parts: Parts, ahead: Ahead) -> None:
    """Play, learn, and write it down."""
    started = time.monotonic()
    play = await ahead.next()
    parts.count(play.tally, BARREN_STEPS, Stalled)
    trained, evolved = await query_data(parts, play.groups, play.tally.episodes)
    evolved |= await show(parts, trained)
    metrics, version = play.metrics | evolved | ahead.ages(trained), parts.learner.version
    await unbroken(improve(parts, play.groups, trained, metrics, started))
    every = parts.config.eval.every
    if every and (parts.step % every == 0 or parts.step == parts.config.steps):
        parts.row |= await held_out(parts)
    due = parts.step % parts.config.checkpoint.every == 0 or parts.step == parts.config.steps
    await unbroken(write_down(parts, checkpoint=due))
    parts.learned(metrics, version, SKIPPED_STEPS, Stalled)


async def query_data(parts: Parts, groups: list[Group], played: Sequence[Episode]) -> tuple[list[Group], Metrics]:
    """What may train after failures have taught skills, where it is time; groups that shrink are admitted anew."""
    skills = parts.skills
    if skills is None:
        return groups, {}
    metrics: Metrics = {}
    if skills.due(parts.step + 1, played):
        await parts.memory.settle()  # a skill names the episode that taught it
        metrics |= await skills.evolve(played)
    whole = {id(group) for group in groups}
    left = [one for one in skills.data.query(groups) if id(one) in whole or parts.algorithm.admit(one)]
    support = sum(not skills.data.trains(episode) for group in groups for episode in group.episodes)
    return left, metrics | {"skills/generation": float(skills.data.generation), "skills/support": float(support)}


async def improve(
    parts: Parts, groups: Sequence[Group], trained: Sequence[Group], metrics: Metrics, started: float
) -> None:
    """Advantages, rows, updates; the engine gets the weights, memory the advantages, and the step is done.

    Of `groups`, those or parts of them that are `trained` on. Raises Stale where these hold support data.
    """
    if trained:
        episodes = [episode for group in trained for episode in group.episodes]
        if parts.skills is not None:
            parts.skills.data.check(episodes)
        learning = time.monotonic()
        with parts.updating():
            advantages, learned = await asyncio.to_thread(learn, parts, trained)
        loading = time.monotonic()
        await parts.engine.load(parts.learner.weights(), parts.learner.version)
        metrics |= learned | {"time/update_s": loading - learning, "time/load_s": time.monotonic() - loading}
        metrics |= parts.engine.report()
        await parts.memory.credit(episodes, [values for found in advantages for values in found])
    parts.step += 1
    parts.drawn.pop(parts.step)
    if parts.evolution is not None:
        await parts.memory.settle()  # an entry is credited in the episodes that are there
        metrics |= await parts.evolution.after(parts.step, groups)
    parts.close_step(metrics | {"time/step_s": time.monotonic() - started})


async def held_out(parts: Parts) -> Metrics:
    """Play the held-out tasks; their episodes are remembered too."""
    started, settings, split = time.monotonic(), parts.config.eval, parts.config.env.eval_split
    with parts.evolution.at_eval() if parts.evolution is not None else nullcontext():
        found = await evaluate(
            parts.player,
            parts.gym,
            parts.held_out,
            split=split,
            episodes=settings.episodes,
            temperature=settings.temperature,
            seed=parts.config.seed,
            display=parts.display,
            keep=functools.partial(parts.memory.keep, split=split, step=parts.step),
        )
    return found.metrics() | {"eval/time_s": time.monotonic() - started}


async def write_down(parts: Parts, *, checkpoint: bool) -> None:
    """The row of the step that is done, its alarms, and where asked for a checkpoint."""
    if parts.row:
        begun, flags = parts.alarms.watch(parts.row)
        for text in begun:
            parts.display.alarm(text)
        parts.log_row(flags)
    if checkpoint:
        try:
            await parts.memory.settle()  # first, so that what a resumed run does not play again is in memory
        finally:
            await asyncio.to_thread(parts.checkpoint)
