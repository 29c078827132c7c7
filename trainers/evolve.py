"""The library of a run: whether it is shown, and what becomes of it after a training step.

SLEA-RL (arXiv 2603.18079), an evolution step:

    eta   = the median return of the step's episodes
    T+    = the K_traj best of {R > eta}        taught by them: strategies
    T-    = the K_traj worst of {R <= eta}      taught by them: warnings

each lesson with its episode's return as score, admitted by `skills_db.rules`. Notes are shown after W steps and where
the library holds more than C_min entries. Ours: what was shown is credited with the return of its episode; an episode
that solved its task teaches no warning; lessons of several episodes take turns, so that the rate is not spent on one;
what is harmful or unused is retired where the config says so.
Rule: the library changes between steps only, and nothing that goes wrong with it ends the run.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from itertools import zip_longest

from agents.library import Library
from agents.types import ContextFull, Episode, Message, Prompt
from skills_db.errors import StoreError
from skills_db.rules import Rules
from skills_db.store import Store
from skills_db.types import NewExperience
from trainers.algorithms.base import Group, Metrics
from trainers.completions import Ask, Unanswered
from trainers.config import MemoryConfig
from trainers.distillers.base import Distiller, Lessons
from trainers.player import Player

__all__ = ["Evolution", "asking", "costs", "taught", "teachers"]


class Evolution:
    """One run's library, from step to step; `tell` hears of what goes wrong."""

    def __init__(
        self, config: MemoryConfig, store: Store, library: Library, distiller: Distiller, tell: Callable[[str], None]
    ) -> None:
        self.config = config
        self.library = library
        self._store = store
        self._distiller = distiller
        self._tell = tell

    async def open(self, step: int) -> Metrics:
        """Before the play of a step: the library as it is now, shown or not."""
        try:
            entries = await asyncio.to_thread(self.library.count)
        except StoreError as error:
            self._tell(f"no notes are shown in step {step + 1}: {error}")
            entries = 0
        shown = step >= self.config.warmup_steps and entries > self.config.minimum
        self.library.renew(open=shown)
        return {"memory/entries": entries, "memory/open": float(shown)}

    async def begun(self, taught_by: Sequence[Episode]) -> AbstractContextManager[None]:
        """What demonstrations teach is in the library, whatever the rates; it is open while the result is entered."""
        found = taught(await self._distiller.lessons(taught_by, []))
        await asyncio.to_thread(self._store.admit, found, self._rules(None, None))
        return self._opened()

    @contextmanager
    def at_eval(self) -> Iterator[None]:
        """While held-out tasks are played, with notes or without; what they cost is not the next step's."""
        with nullcontext() if self.config.at_eval else self.library.shut():
            yield
        self.library.looked()

    async def after(self, step: int, groups: Sequence[Group]) -> Metrics:
        """What the play of step `step` cost and showed, and where it is time, what is learned from it."""
        began = time.monotonic()
        episodes = [episode for group in groups for episode in group.episodes]
        metrics = costs(episodes, self.library)
        if episodes and self.config.every and step % self.config.every == 0:
            try:
                metrics |= await self._evolved(episodes)
            except (StoreError, Unanswered) as error:
                self._tell(f"step {step} teaches nothing: {error}")
                metrics["memory/failed"] = 1.0
        metrics |= await self.open(step)
        return metrics | {"time/memory_s": time.monotonic() - began}

    async def _evolved(self, episodes: Sequence[Episode]) -> Metrics:
        config = self.config
        if config.credit:
            await asyncio.to_thread(self._credit, episodes)
        eta, won, lost = teachers(episodes, config.threshold, config.trajectories)
        found = await self._distiller.lessons(won, lost)
        offered = taught(found)
        rules = self._rules(config.rate_strategies, config.rate_warnings)
        changes = await asyncio.to_thread(self._store.admit, offered, rules)
        counts = {f"memory/{name}": float(count) for name, count in changes.counts().items()}
        counts["memory/forgotten"] = float(await asyncio.to_thread(self._forget))
        return counts | {"memory/threshold": eta, "memory/offered": float(len(offered))}

    def _forget(self) -> int:
        """Retire what is harmful or unused; how many entries."""
        harmful, unused = self.config.harmful, self.config.unused_episodes
        if harmful is None and unused is None:
            return 0
        # The other rules are kept where lessons are admitted.
        rules = Rules(capacity_skills=None, capacity_failures=None, merge=None, harmful=harmful, unused_episodes=unused)
        return self._store.forget(self.library.env, rules).counts()["retired"]

    def _rules(self, strategies: int | None, warnings: int | None) -> Rules:
        return Rules(
            capacity_skills=self.config.capacity_strategies,
            capacity_failures=self.config.capacity_warnings,
            rate_skills=strategies,
            rate_failures=warnings,
            merge=self.config.novelty,
        )

    @contextmanager
    def _opened(self) -> Iterator[None]:
        before = self.library.open
        self.library.renew()
        try:
            yield
        finally:
            self.library.looked()
            self.library.open = before

    def _credit(self, episodes: Sequence[Episode]) -> None:
        for episode in episodes:
            if ids := sorted({id for turn in episode.turns for id in turn.prompt.used}):
                self._store.credit(ids, sum(episode.rewards), episode.id)


def teachers(
    episodes: Sequence[Episode], threshold: float | None, count: int
) -> tuple[float, list[Episode], list[Episode]]:
    """The threshold, the `count` best episodes above it, and the `count` worst others that did not solve their task."""
    returns = [sum(episode.rewards) for episode in episodes]
    eta = statistics.median(returns) if threshold is None else threshold
    ranked = sorted(zip(returns, episodes, strict=True), key=lambda pair: pair[0])
    above = [episode for value, episode in reversed(ranked) if value > eta]
    below = [episode for value, episode in ranked if value <= eta and not episode.success]
    return eta, above[:count], below[:count]


def taught(found: Sequence[Lessons]) -> list[NewExperience]:
    """The lessons of several episodes in turn: the first of each, then the second of each."""
    return [lesson for row in zip_longest(*found) for lesson in row if lesson is not None]


def costs(episodes: Sequence[Episode], library: Library) -> Metrics:
    """What the notes of these episodes, and what was asked for them, amount to."""
    asked = library.looked()
    metrics: Metrics = {"recall/search_s": asked.search_s, "recall/failed": float(asked.failed)}
    if asked.times:
        metrics["recall/known_share"] = 1 - asked.searches / asked.times
    turns = [turn for episode in episodes for turn in episode.turns]
    if turns:
        metrics |= {
            "recall/turns_share": sum(bool(turn.prompt.used) for turn in turns) / len(turns),
            "recall/notes": sum(len(turn.prompt.used) for turn in turns) / len(turns),
            "recall/note_tokens": asked.told_tokens / len(turns),
            "recall/skills": sum(len(turn.prompt.skills) for turn in turns) / len(turns),
            "recall/skill_tokens": asked.skill_tokens / len(episodes),
            "recall/read_tokens": sum(map(_read, episodes)) / len(turns),
        }
    shown = [episode for episode in episodes if any(turn.prompt.used for turn in episode.turns)]
    bare = [episode for episode in episodes if not any(turn.prompt.used for turn in episode.turns)]
    for name, some in (("with", shown), ("without", bare)):
        if some:
            metrics[f"recall/success_{name}"] = sum(episode.success for episode in some) / len(some)
    return metrics


def _read(episode: Episode) -> int:
    """Prompt ids of an episode that no cache of the turn before could hold."""
    total, before = 0, list[int]()
    for turn in episode.turns:
        now = turn.move.prompt_ids
        same = len(before)
        if now[:same] != before:
            same = next((at for at, (a, b) in enumerate(zip(now, before, strict=False)) if a != b), len(now))
        total += len(now) - same
        before = [*now, *turn.move.sample.ids]
    return total


def asking(player: Player) -> Ask:
    """A player's policy as one that can be asked anything; "" where the question does not fit its context."""

    async def ask(messages: Sequence[Message], temperature: float, max_tokens: int) -> str:
        ids = player.chat.prompt_ids(Prompt(list(messages)), None)
        try:
            sample = await player.engine.sample(ids, max_tokens=max_tokens, temperature=temperature, seed=0)
        except ContextFull:
            return ""
        return player.chat.answer_text(sample.ids)

    return ask
