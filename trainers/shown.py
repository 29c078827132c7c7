"""What the world's expert shows beside play: its episode of a task, where the algorithm asks for it (`Algorithm.asks`).

Rule: what is shown is learned from as `sft` does, answers that the world accepted and those only; it is no member of
its group, so it stands in no baseline, and no sampler is compared with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from trainers.algorithms.base import Group, Metrics
from trainers.batch import Row
from trainers.sft import lessons
from trainers.teacher import demonstrations

if TYPE_CHECKING:
    from trainers.parts import Parts

__all__ = ["show", "shown_rows"]


async def show(parts: Parts, groups: Sequence[Group]) -> Metrics:
    """Puts the expert's episodes into the groups that are to have one. Raises Forbidden."""
    asking = [group for group in groups if parts.algorithm.asks(group)]
    if not asking:
        return {}
    found = await demonstrations(
        parts.config,
        parts.gym,
        [group.task for group in asking],
        chat=parts.player.chat,
        display=parts.display,
        at_least=0,
    )
    by_task = {(episode.task.key, episode.task.seed): episode for episode in found}
    for group in asking:
        solved = by_task.get((group.task.key, group.task.seed))
        group.shown = [solved] if solved is not None else []
    return {"shown/episodes": float(sum(len(group.shown) for group in asking))}


def shown_rows(groups: Sequence[Group]) -> list[Row]:
    """The rows of what was shown, of advantage 1 where they are learned from; episodes are counted after all played."""
    number = sum(len(group.episodes) for group in groups)
    out: list[Row] = []
    for index, group in enumerate(groups):
        for episode in group.shown:
            out += [replace(row, group=index, shown=True) for row in lessons(number, episode)]
            number += 1
    return out
