"""When a served policy learns, and from what: sessions that are over become a batch, and a window lets it train.

    over -> kept in memory -> waiting, where a turn is rated -> a batch -> taught by, or trained on -> forgotten

MetaClaw (arXiv 2603.17187). Rule: before a batch trains, failures in it may teach skills; then all of it that is
support data goes. An update is whole or it never was: its weights are in a checkpoint before anybody is answered with
them, and the checkpoint names the sessions that are in it. Until then they wait on disk, and after `kill -9` they wait
again.
"""

from __future__ import annotations

import asyncio
import random
import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from agents.types import Episode
from skills_db.errors import BadRecord
from trainers.algorithms.base import Algorithm, Metrics
from trainers.config import RunConfig
from trainers.display import Display
from trainers.engines.base import Engine
from trainers.learn import learn_rows
from trainers.metrics import MetricsLog
from trainers.query import QueryData
from trainers.remember import Memory
from trainers.run import Run
from trainers.serving.books import Books
from trainers.serving.credit import advantages, rated_rows
from trainers.serving.journal import Journal
from trainers.serving.pupil import Pupil
from trainers.serving.sessions import Sessions
from trainers.serving.window import Dropped, State, Window
from trainers.skills import Skills
from trainers.unbroken import unbroken

__all__ = ["SPLIT", "Scheduler"]

SPLIT = "served"
"""Of the episodes in memory."""


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """A session that is over and holds something to learn from."""

    episode: Episode
    rewards: list[float | None]
    """(T,) None: the turn has nothing to learn from."""

    @property
    def rated(self) -> int:
        """Turns that can train."""
        return sum(reward is not None for reward in self.rewards)


class Scheduler:
    """One server's."""

    def __init__(
        self,
        config: RunConfig,
        *,
        run: Run,
        sessions: Sessions,
        window: Window,
        journal: Journal,
        memory: Memory,
        learner: Pupil,
        engine: Engine,
        algorithm: Algorithm,
        data: QueryData,
        books: Books,
        skills: Skills | None,
        log: MetricsLog,
        display: Display,
        updates: int = 0,
    ) -> None:
        """`skills` None: failures teach nothing. `updates` are done."""
        self.config = config
        self.updates = updates
        """Whose weights are served."""
        self.waiting: list[Lesson] = []
        """In the order their sessions ended; those of an update under way are among them."""
        self.error = ""
        """What ended the learning."""
        self.flushed = 0
        """Sessions that were rated and may not train any more."""
        self._run = run
        self._sessions = sessions
        self._window = window
        self._journal = journal
        self._memory = memory
        self._learner = learner
        self._engine = engine
        self._algorithm = algorithm
        self._data = data
        self._books = books
        self._skills = skills
        self._log = log
        self._display = display
        self._update: asyncio.Task[None] | None = None
        self._learning: list[Lesson] = []
        """Those of the update under way."""
        self._read: set[str] = set()
        """Ids of the episodes whose failures have been looked at."""
        self._evolved: Metrics = {}
        learner.boundary = window.boundary

    async def go_on(self) -> None:
        """Look after the sessions and learn, until it is cancelled. What goes wrong ends the learning alone."""
        try:
            while True:
                await self.tick()
                await asyncio.sleep(self.config.serving.window.tick_s)
        except Exception as error:
            self.error = f"{type(error).__name__}: {error}"
            self._display.alarm(f"learning has ended, serving goes on: {self.error}")
        finally:
            await unbroken(self.close())

    async def close(self) -> None:
        """An update under way stops at its next micro-batch and is not kept; its batch waits."""
        if self._update is not None:
            self._window.drop()
            await asyncio.gather(self._update, return_exceptions=True)
            self._update = None

    async def tick(self) -> State:
        """One look at the sessions and at the clock."""
        self._sessions.expire()
        await self._settle()
        if self._update is not None and self._update.done():
            finished, self._update, self._learning = self._update, None, []
            finished.result()
        batch = self._batch()
        # While an update waits for a window, what has come in since may teach, and make stale what the update is of.
        stands = self._update is None or self._window.state in (State.IDLE_WAIT, State.WINDOW_OPEN)
        if batch and stands and await self._teach(batch):
            batch = self._batch()
            if any(not self._data.trains(lesson.episode) for lesson in self._learning):
                self._window.drop()
        state = self._window.tick(ready=bool(batch) and self._update is None)
        if state is State.UPDATING and self._update is None:
            self._learning = batch
            self._update = asyncio.create_task(self._learn(batch))
        return state

    def state(self) -> dict[str, Any]:
        """As `GET /v1/learning` shows it."""
        rated = sum(lesson.rated for lesson in self.waiting)
        return {
            "state": self._window.state.value,
            "window": self._window.reason(),
            "updates": self.updates,
            "pauses": self._window.pauses,
            "version": {"learner": self._learner.version, "served": self._engine.version},
            "generation": self._data.generation,
            "sessions": {
                "open": len(self._sessions.open),
                "over": len(self._sessions.over),
                "waiting": len(self.waiting),
                "flushed": self.flushed,
            },
            "batch": {"turns": rated, "of": self.config.serving.batch_turns, "under_way": self._window.begun},
            "error": self.error or None,
        }

    async def _settle(self) -> None:
        """Sessions that are over and judged go into memory; those with something to learn from wait."""
        for conversation in [one for one in self._sessions.over if not one.judging]:
            self._sessions.over.remove(conversation)
            episode = conversation.episode()
            try:
                await self._memory.keep(episode, split=SPLIT, step=self.updates)
            except BadRecord as error:
                self._display.alarm(f"session '{conversation.session}' is not kept in memory: {error}")
            if conversation.rated:
                self.waiting.append(Lesson(episode, conversation.rewards))
            else:
                self._journal.forget(conversation.id)

    def _batch(self) -> list[Lesson]:
        """The oldest lessons that make a batch, else none; what may not train any more is gone."""
        idle = [lesson for lesson in self.waiting if lesson not in self._learning]
        taken: list[Lesson] = []
        for lesson in idle:
            if not self._data.trains(lesson.episode):
                self.waiting.remove(lesson)
                self._journal.forget(lesson.episode.id)
                self.flushed += 1
            elif sum(one.rated for one in taken) < self.config.serving.batch_turns:
                taken.append(lesson)
        return taken if sum(one.rated for one in taken) >= self.config.serving.batch_turns else []

    async def _teach(self, batch: Sequence[Lesson]) -> bool:
        """Let the failures of a batch teach skills where it is time; whether they did."""
        episodes = [lesson.episode for lesson in batch]
        if self._skills is None or self._read.issuperset(episode.id for episode in episodes):
            return False
        self._read = {episode.id for episode in episodes}
        if not self._skills.due(self.updates + 1, episodes):
            return False
        generation = self._data.generation
        await self._memory.settle()  # a skill names the episode that taught it
        await asyncio.to_thread(self._books.write, episodes)
        self._evolved = await self._skills.evolve(episodes)
        await asyncio.to_thread(self._books.write)
        if self._data.generation == generation:
            return False
        self._display.say(f"skills: generation {self._data.generation}; {self._evolved['skills/added']:.0f} are new")
        return True

    async def _learn(self, batch: Sequence[Lesson]) -> None:
        """One update, or nothing at all where it is dropped."""
        episodes = [lesson.episode for lesson in batch]
        self._data.check(episodes)
        rewards = [lesson.rewards for lesson in batch]
        found = advantages(rewards)
        version, began = self._learner.version, time.monotonic()
        try:
            metrics = await asyncio.to_thread(self._trained, episodes, found)
        except Dropped:
            await asyncio.to_thread(self._take_back, version)
        else:
            learned_s = time.monotonic() - began
            await self._commit(episodes, found)
            self.waiting = [lesson for lesson in self.waiting if lesson not in batch]
            loading = time.monotonic()
            await self._window.unasked()  # who asked before is answered with the old weights to the end
            await self._engine.load(self._learner.weights(), self._learner.version)
            self.updates += 1
            self._tell(
                metrics
                | self._evolved
                | {"time/update_s": learned_s, "time/load_s": time.monotonic() - loading}
                | _measured(episodes, rewards, version)
                | {"serving/pauses": float(self._window.pauses), "serving/flushed": float(self.flushed)}
                | {"skills/generation": float(self._data.generation)}
            )
            self._evolved = {}
        finally:
            self._window.done()

    def _trained(self, episodes: Sequence[Episode], found: Sequence[Sequence[float | None]]) -> Metrics:
        rng = random.Random(f"{self.config.seed}/{self.updates}/learn")
        _, metrics = learn_rows(
            self._algorithm,
            self._learner,
            rated_rows(episodes, found),
            micro_tokens=self.config.learner.micro_tokens,
            rng=rng,
        )
        return metrics

    def _take_back(self, version: int) -> None:
        self._learner.forget()
        if self._learner.version != version:
            self._learner.load(self._run.checkpoints()[-1].path)

    async def _commit(self, episodes: Sequence[Episode], found: Sequence[Sequence[float | None]]) -> None:
        """The update is true from the checkpoint on, and only then its sessions are forgotten."""
        await self._memory.credit(episodes, [[value or 0.0 for value in values] for values in found])
        await self._memory.settle()
        await asyncio.to_thread(self.checkpoint, self.updates + 1, [episode.id for episode in episodes])
        for episode in episodes:
            self._journal.forget(episode.id)

    def checkpoint(self, updates: int, trained: Sequence[str] = ()) -> None:
        """Write the one after so many updates; it names the sessions that are in the last of them."""
        books = {"step": updates, "memory_run": self._memory.run, "trained": list(trained)}
        self._run.write_checkpoint(updates, self._learner.save, books, self.config.checkpoint.keep)

    def _tell(self, metrics: Metrics) -> None:
        self._log.write(self.updates, metrics)
        self._display.say(
            f"update {self.updates}: {metrics['serving/turns']:.0f} turns of {metrics['serving/sessions']:.0f} "
            f"sessions, reward {metrics['reward/mean']:.3f}, {metrics['time/update_s']:.1f} s; "
            f"version {self._learner.version} is served"
        )


def _measured(episodes: Sequence[Episode], rewards: Sequence[Sequence[float | None]], version: int) -> Metrics:
    """What a batch amounts to."""
    rated = [
        (value, turn.move.sample)
        for episode, values in zip(episodes, rewards, strict=True)
        for turn, value in zip(episode.turns, values, strict=True)
        if value is not None
    ]
    return {
        "reward/mean": statistics.fmean(value for value, _ in rated),
        "reward/std": statistics.pstdev(value for value, _ in rated),
        "tokens/sampled": float(sum(len(sample.ids) for _, sample in rated)),
        "serving/sessions": float(len(episodes)),
        "serving/turns": float(len(rated)),
        "serving/lag": statistics.fmean(version - sample.version for _, sample in rated),
    }
