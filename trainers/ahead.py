"""Play that runs ahead of learning, by k steps at most; with k = 0 the two take turns.

    the play of step s begins when step s - 1 - k is done, and step s learns from it

So no token is learned from by weights more than k updates newer than those that drew it, and where learning falls
behind, play waits. Steps learn in the order in which they were begun and from whole groups: what is over early is not
learned from more often than what takes long. Places are shared, and an earlier step's episodes have them first.

Rule: a checkpoint holds what was learned from and nothing else. Tasks that are drawn for later steps stand in it, and a
resumed run plays those again; the pool hears how a task went when its step learns from it. (With k = 0 at once: there
`replace` may ask for it.)
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from types import TracebackType

from agents.places import Places
from agents.types import Episode
from envserver.schema import Task
from trainers.algorithms.base import Group, Metrics
from trainers.parts import Parts
from trainers.tally import Tally

__all__ = ["Ahead", "Play", "TooStale"]


class TooStale(RuntimeError):
    """Raised where a sample is about to train that was drawn from weights of too long ago."""


@dataclass(slots=True, eq=False)
class Play:
    """The play of one step."""

    step: int
    """That learns from it."""
    tasks: list[Task]
    """Drawn first."""
    owed: list[Task]
    """Replacements that were drawn before the run was interrupted; they come before others."""
    groups: list[Group] = field(default_factory=list)
    """Those that were admitted."""
    unheard: list[Group] = field(default_factory=list)
    """What the algorithm has not observed yet."""
    tally: Tally = field(default_factory=Tally)
    metrics: Metrics = field(default_factory=dict)
    ended: int = 0
    """Episodes that are over."""
    dropped: int = 0
    """Episodes that were begun anew."""
    wasted_tokens: int = 0
    """Sampled in those."""

    def drop(self, tokens: int) -> None:
        """An episode of so many sampled tokens begins anew."""
        self.dropped += 1
        self.wasted_tokens += tokens


class Ahead:
    """One run's play; leaving it ends what is under way."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._k = parts.config.sampling.staleness
        self._places = Places(parts.config.sampling.concurrency)
        self._begun: deque[tuple[Play, asyncio.Task[None]]] = deque()
        self._next = parts.step + 1
        self._updates: dict[int, int] = {}
        """Updates since the run went on, by the version of the weights."""

    async def __aenter__(self) -> Ahead:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = [task for _, task in self._begun]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def next(self) -> Play:
        """The play that the next step learns from; begins what may be begun by now."""
        parts, started = self._parts, time.monotonic()
        self._updates.setdefault(parts.learner.version, len(self._updates))
        while self._next <= min(parts.step + 1 + self._k, parts.config.steps):
            self._begin(self._next)
            self._next += 1
        play, task = self._begun[0]
        try:
            await task
        finally:
            self._begun.popleft()
        for group in play.unheard:
            parts.algorithm.observe(group)
        play.metrics |= {
            "async/queue": sum(later.ended for later, _ in self._begun),
            "async/dropped": play.dropped,
            "async/wasted_tokens": play.wasted_tokens,
            "time/wait_s": time.monotonic() - started,
        }
        return play

    def ages(self, groups: Sequence[Group]) -> Metrics:
        """How old what is learned from is. Raises TooStale."""
        here = self._updates[self._parts.learner.version]
        turns = [[turn.move.sample for turn in one.turns] for group in groups for one in group.episodes if one.turns]
        ages = [(here - self._updates[sample.version], len(sample.ids)) for found in turns for sample in found]
        oldest = max((age for age, _ in ages), default=0)
        if oldest > self._k:
            raise TooStale(f"a sample is {oldest} updates old, and sampling.staleness is {self._k}")
        mixed = sum(len({sample.version for sample in found}) > 1 for found in turns)
        return {
            "async/staleness_mean": sum(age * tokens for age, tokens in ages) / max(sum(n for _, n in ages), 1),
            "async/staleness_max": oldest,
            "async/mixed_share": mixed / max(len(turns), 1),
        }

    def _begin(self, step: int) -> None:
        parts = self._parts
        wanted = parts.config.sampling.tasks_per_step
        if step not in parts.drawn:
            parts.drawn[step] = parts.algorithm.choose(wanted)
        play = Play(step, parts.drawn[step][:wanted], parts.drawn[step][wanted:])
        self._begun.append((play, asyncio.create_task(self._gather(play))))

    def _replaced(self, play: Play) -> list[Task]:
        """Tasks in the place of groups that were lost or not admitted; they stand in a checkpoint as the first do."""
        missing = self._parts.config.sampling.tasks_per_step - len(play.groups)
        tasks, play.owed = play.owed[:missing], play.owed[missing:]
        if len(tasks) < missing:
            more = self._parts.algorithm.replace(missing - len(tasks))
            self._parts.drawn[play.step] += more
            tasks += more
        return tasks

    async def _gather(self, play: Play) -> None:
        """Collect episodes, shape rewards, admit groups; draw again for those that were not admitted."""
        parts, started = self._parts, time.monotonic()
        sampling, algorithm, tally = parts.config.sampling, parts.algorithm, play.tally

        async def ended(task: Task, episode: Episode) -> None:
            bar.advance()
            play.ended += 1
            await parts.memory.keep(episode, split=parts.config.env.split, step=play.step)

        for attempt in range(algorithm.config.max_draws):
            tasks = self._replaced(play) if attempt else play.tasks
            tally.replaced += len(tasks) if attempt else 0
            with parts.display.bar(f"step {play.step}: playing", sampling.group_size * len(tasks)) as bar:
                played = await parts.player.collect(
                    parts.gym,
                    tasks,
                    group_size=sampling.group_size,
                    temperature=parts.config.player.temperature,
                    seed=parts.rng("play", attempt, after=play.step - 1).getrandbits(63),
                    on_episode=ended,
                    shared=self._places,
                    rank=play.step,
                    dropped=play.drop if sampling.partial == "drop" else None,
                )
            for task, episodes in zip(tasks, played, strict=True):
                valid = [episode for episode in episodes if episode.valid]
                if 2 * len(valid) < len(episodes):
                    tally.lose(episodes)
                    continue
                group = Group(task, valid, await asyncio.gather(*map(parts.shaped, valid)))
                if self._k:
                    play.unheard.append(group)
                else:
                    algorithm.observe(group)
                admitted = algorithm.admit(group)
                tally.see(episodes, group, admitted=admitted)
                play.groups += [group] if admitted else []
            if len(play.groups) >= sampling.tasks_per_step:
                break
        play.metrics |= tally.metrics(time.monotonic() - started) | algorithm.report()
