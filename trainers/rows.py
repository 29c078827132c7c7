"""Groups as rows, rows as minibatches, minibatches as Batches that fit the memory.

Rule: however rows are packed, the gradient of a minibatch is the same. A Batch's `scale` is its weight over its
minibatch's (`Algorithm.weight`). What has no gradient keeps its place in the divisor and is not computed, where the
algorithm says so (`skips_zero`); the scales of a minibatch then add up to less than 1.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from trainers.algorithms.base import Algorithm, Group
from trainers.batch import Batch, Row, collate
from trainers.packing import Bins
from trainers.segments import segments

__all__ = ["credited", "is_zero", "minibatches", "packed", "rows"]

Unit = list[Row]
"""Rows that must lie in one Batch."""


def rows(groups: Sequence[Group], advantages: Sequence[Sequence[Sequence[float]]]) -> list[Row]:
    """Every segment of every episode; `advantages` is [N][G][T]."""
    out: list[Row] = []
    episode_index = 0
    for group_index, (group, found) in enumerate(zip(groups, advantages, strict=True)):
        for episode, ret, values in zip(group.episodes, group.returns, found, strict=True):
            versions = [turn.move.sample.version for turn in episode.turns]
            for segment in segments(episode, values):
                last = max(segment.turns)
                if last < 0:
                    continue  # nothing was sampled: nothing to learn from
                temperature = episode.turns[last].move.sample.temperature
                out.append(Row(segment, episode_index, group_index, ret, temperature, versions=versions))
            episode_index += 1
    return out


def credited(groups: Sequence[Group], batches: Sequence[Batch]) -> list[list[list[float]]]:
    """[N][G][T]: the mean advantage of each turn's tokens, where `prepare` gave each token its own."""
    found = [[[0.0] * len(rewards) for rewards in group.rewards] for group in groups]
    episodes = [turns for group in found for turns in group]
    for batch in batches:
        for b, episode in enumerate(batch.episode_B.tolist()):
            for turn in set(batch.turn_BL[b][batch.mask_BL[b]].tolist()):
                here_L = batch.mask_BL[b] & (batch.turn_BL[b] == turn)
                episodes[episode][turn] = float(batch.advantage_BL[b][here_L].mean())
    return found


def is_zero(unit: Sequence[Row]) -> bool:
    """Whether the advantages of these rows are all zero."""
    return not any(any(row.segment.advantages) for row in unit)


def minibatches(
    found: Sequence[Row],
    algorithm: Algorithm,
    *,
    count: int,
    micro_tokens: int,
    rng: random.Random,
    processes: int = 1,
    beside: bool = False,
) -> list[list[Batch]]:
    """`count` random parts of about equal size, each `packed` into Batches.

    A part that holds nothing to compute is left out, so fewer may come back.
    """
    units = _units(found, algorithm.together)
    rng.shuffle(units)
    parts: list[list[Batch]] = []
    for start in range(count):
        part = units[start::count]
        idle = [unit for unit in part if algorithm.skips_zero and is_zero(unit)]
        live = [unit for unit in part if not (algorithm.skips_zero and is_zero(unit))]
        batches = [collate(run) for run in packed(live, micro_tokens, processes=processes, beside=beside)]
        weights = [algorithm.weight(batch) for batch in batches]
        total = sum(weights) + sum(algorithm.weight(collate(run)) for run in packed(idle, micro_tokens))
        if batches:
            scaled = zip(batches, weights, strict=True)
            parts.append([replace(batch, scale=weight / max(total, 1)) for batch, weight in scaled])
    return parts


def packed(units: Sequence[Unit], micro_tokens: int, *, processes: int = 1, beside: bool = False) -> list[list[Row]]:
    """Units sorted by length into runs of which each process reads at most `micro_tokens` = B * L, padding included.

    Rows are dealt among `processes`, the longest first. With `beside` B counts rows as long as a process's longest one,
    each of which may hold several: what is left of them is filled with the longest units that fit. A unit that is
    larger than `micro_tokens` stands alone.
    """
    runs: list[list[Row]] = []
    ordered = sorted(units, key=_longest, reverse=True)
    if beside:
        while ordered:
            run, ordered = _filled(ordered, micro_tokens, processes)
            runs.append(run)
        return runs
    width = 0
    for unit in ordered:
        if runs and math.ceil((len(runs[-1]) + len(unit)) / processes) * width <= micro_tokens:
            runs[-1] += unit
        else:
            runs.append(list(unit))
            width = _longest(unit)
    return runs


def _filled(units: Sequence[Unit], micro_tokens: int, processes: int) -> tuple[list[Row], list[Unit]]:
    """The first unit with all that find room beside it, in order; and those that do not."""
    run, left = list(units[0]), []
    room = micro_tokens * processes - sum(len(row.segment) for row in run)
    for unit in units[1:]:
        size = sum(len(row.segment) for row in unit)
        if size <= room and _laid([*run, *unit], processes) <= micro_tokens:
            run, room = run + unit, room - size
        else:
            left.append(unit)
    return run, left


def _laid(run: Sequence[Row], processes: int) -> int:
    """Tokens of the long rows of the process that has most of them."""
    lengths = sorted((len(row.segment) for row in run), reverse=True)
    most = 0
    for number in range(min(processes, len(lengths))):
        own = lengths[number::processes]
        bins = Bins(own[0])
        for length in own:
            bins.put(length)
        most = max(most, len(bins) * bins.size)
    return most


def _longest(unit: Unit) -> int:
    return max(len(row.segment) for row in unit)


def _units(found: Sequence[Row], together: Literal["row", "episode", "group"]) -> list[Unit]:
    if together == "row":
        return [[row] for row in found]
    units: dict[int, Unit] = {}
    for row in found:
        units.setdefault(row.episode if together == "episode" else row.group, []).append(row)
    return list(units.values())
