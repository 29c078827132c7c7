"""The skills of a run: when failures are read, which of the skills they teach are kept, and what that leaves to train.

MetaClaw (arXiv 2603.17187): where less than `below` of a batch succeeds, an evolver reads up to `failures` episodes
that failed. Skills are only added; one whose name is taken is left out. What has taught a skill is support data. Ours:
a success is what the world calls one, and the evolver reads the worst failure of each task, then the second worst.

Rule: skills come before the update, so that no step trains on what has taught them, and their generation rises where
one is kept, whatever becomes of the others. Nothing that goes wrong with them ends the run.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from itertools import zip_longest

from agents.types import Episode
from skills_db.errors import BadRecord, StoreError
from skills_db.store import Store
from skills_db.types import NewSkill
from trainers.algorithms.base import Metrics
from trainers.completions import Unanswered
from trainers.evolvers.base import Evolver
from trainers.query import QueryData
from trainers.skills_config import SkillsConfig
from trainers.unbroken import unbroken

__all__ = ["Skills", "failures"]


class Skills:
    """One run's skills, from step to step; `tell` hears of what goes wrong."""

    def __init__(
        self, config: SkillsConfig, store: Store, data: QueryData, evolver: Evolver, tell: Callable[[str], None]
    ) -> None:
        self.config = config
        self.data = data
        self._store = store
        self._evolver = evolver
        self._tell = tell

    def due(self, step: int, played: Sequence[Episode]) -> bool:
        """Whether the play of step `step` went so badly that it shall teach."""
        valid = [episode for episode in played if episode.valid]
        if not valid or not self.config.every or step % self.config.every:
            return False
        return sum(episode.success for episode in valid) / len(valid) < self.config.below

    async def evolve(self, played: Sequence[Episode]) -> Metrics:
        """Have skills written of what failed in these, and take them into use.

        The episodes must be in the store by now, where lineage finds them.
        """
        began = time.monotonic()
        shown = failures(played, self.config.failures)
        counts = {"offered": 0, "added": 0, "known": 0, "refused": 0, "failed": 0}
        try:
            known = await asyncio.to_thread(self._store.skills, retired=True)
            offered = await self._evolver.skills(shown, known)
            counts["offered"] = len(offered)
            await unbroken(self._keep(offered, {skill.name for skill in known}, shown, counts))
        except (StoreError, Unanswered) as error:
            self._tell(f"failures teach no more skills this time: {error}")
            counts["failed"] = 1
        metrics: Metrics = {f"skills/{name}": float(count) for name, count in counts.items()}
        return metrics | {"skills/read": float(len(shown)), "time/skills_s": time.monotonic() - began}

    async def _keep(
        self, offered: Sequence[NewSkill], taken: set[str], shown: Sequence[Episode], counts: dict[str, int]
    ) -> None:
        try:
            for skill in offered:
                if skill.name in taken:
                    counts["known"] += 1
                    continue
                try:
                    await asyncio.to_thread(self._store.add_skill, skill)
                except BadRecord as error:
                    self._tell(f"a skill is not kept: {error}")
                    counts["refused"] += 1
                else:
                    taken.add(skill.name)
                    counts["added"] += 1
        finally:
            if counts["added"]:
                self.data.teach(shown)


def failures(episodes: Sequence[Episode], most: int) -> list[Episode]:
    """So many of the valid episodes that did not solve their task: the worst of each task, then the second worst."""
    by_task: dict[str, list[Episode]] = {}
    for episode in episodes:
        if episode.valid and episode.turns and not episode.success:
            by_task.setdefault(episode.task.key, []).append(episode)
    ranked = [sorted(found, key=lambda episode: sum(episode.rewards)) for found in by_task.values()]
    return [episode for row in zip_longest(*ranked) for episode in row if episode is not None][:most]
