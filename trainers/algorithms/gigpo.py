"""GiGPO: Group-in-Group Policy Optimization for LLM Agent Training (arXiv 2505.10978).

    A_E(i)   = (R_i - mean(R_1..R_G)) / F           over the episodes of a task
    A_S(i,t) = (R_it - mean(R~)) / F                over the turns of the task that saw the same,
    R_it     = sum_{k >= t} 0.95^(k - t) r_ik
    A(i,t)   = A_E(i) + step_weight A_S(i,t),       step_weight = 1
    loss     = -mean min(r A, clip(r, 1 - 0.2, 1 + 0.2) A) + 0.01 KL

The paper's: the two levels, anchor states (turns of a group that were shown the identical observation), gamma and
weight; F is the standard deviation (`mean_std_norm`) or 1 (`mean_norm`). From its code, as others describe it: an
anchor with one turn has step advantage 0 (`lone = "zero"`); `episode_over = "turns"`: an episode's return counts in
its group once a turn. `lone = "raw"` is the rule of RLVMR's fork: mean 0, F = 1.
Ours: the observation is text and commands, and an unparsable answer leaves it standing; the standard deviation is of a
sample, + 1e-6; where all values are alike the advantage is 0; the mean is over tokens.
"""

from __future__ import annotations

import statistics
from collections.abc import Hashable, Iterable, Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agents.conduct import shown
from trainers.algorithms.base import Algorithm, AlgorithmConfig, Group, alike

__all__ = ["Gigpo", "GigpoConfig", "Lone", "Norm", "normed", "within"]

Norm = Literal["mean_norm", "mean_std_norm"]
Lone = Literal["zero", "raw"]


class GigpoConfig(AlgorithmConfig):
    """GiGPO's settings."""

    name: str = "gigpo"
    """The algorithm's registry name."""
    kl: float = Field(0.01, ge=0)
    """Weight of the k3 estimate of KL(policy || reference) in the loss; 0 keeps no reference model."""
    gamma: float = Field(0.95, ge=0, le=1)
    """Discount a turn, of the return that turns with the same observation are compared by."""
    step_weight: float = Field(1.0, ge=0)
    """Weight of the step advantage; 0 leaves the episode advantage alone."""
    norm: Norm = "mean_std_norm"
    """What a group's values are put over after its mean is taken off: their standard deviation, or nothing."""
    lone: Lone = "zero"
    """Step advantage of an observation that was seen once: 0, or the return as it is."""
    episode_over: Literal["episodes", "turns"] = "episodes"
    """What a group's mean return is taken over; over turns, a long episode counts more."""


class Gigpo(Algorithm):
    """Episodes are compared within their task, turns within their observation."""

    Config: ClassVar[type[AlgorithmConfig]] = GigpoConfig
    config: GigpoConfig

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: the episode's advantage and the step's."""
        return [self.mixed(group, self.step_part([group])) for group in groups]

    def anchors(self, groups: Sequence[Group]) -> list[list[Hashable]]:
        """Of the groups' episodes, one after the other, [T] what each turn is compared by: what it was shown."""
        return [[(now.text, *now.choices) for now in shown(episode)] for group in groups for episode in group.episodes]

    def episode_part(self, group: Group) -> list[list[float]]:
        """[G][T]: the episode's advantage, on each of its turns."""
        returns = [[value] * len(row) for value, row in zip(group.returns, group.rewards, strict=True)]
        if self.config.episode_over == "turns":
            return within(returns, [[0] * len(row) for row in returns], self.config.norm, "zero")
        scores = normed(group.returns, self.config.norm, "zero")
        return [[score] * len(row) for score, row in zip(scores, returns, strict=True)]

    def step_part(self, groups: Sequence[Group]) -> list[list[float]]:
        """Of the groups' episodes, one after the other, [T]: the step advantage among all their turns."""
        to_come = [discounted(row, self.config.gamma) for group in groups for row in group.rewards]
        return within(to_come, self.anchors(groups), self.config.norm, self.config.lone)

    def mixed(self, group: Group, steps: Sequence[Sequence[float]]) -> list[list[float]]:
        """[G][T]: both parts of one group."""
        return [
            [whole + self.config.step_weight * part for whole, part in zip(row, parts, strict=True)]
            for row, parts in zip(self.episode_part(group), steps, strict=True)
        ]


def discounted(rewards: Sequence[float], gamma: float) -> list[float]:
    """(T,) -> (T,): the discounted rewards from each turn on."""
    found: list[float] = []
    total = 0.0
    for reward in reversed(rewards):
        total = reward + gamma * total
        found.append(total)
    return found[::-1]


def within(
    values: Sequence[Sequence[float]], keys: Sequence[Sequence[Hashable]], norm: Norm, lone: Lone
) -> list[list[float]]:
    """[G][T] -> [G][T]: each value among those with its key, `normed`."""
    kept: dict[Hashable, list[float]] = {}
    for value, key in _pairs(values, keys):
        kept.setdefault(key, []).append(value)
    found = {key: iter(normed(members, norm, lone)) for key, members in kept.items()}
    return [[next(found[key]) for key in row] for row in keys]


def normed(values: Sequence[float], norm: Norm, lone: Lone) -> list[float]:
    """value - mean, over std + 1e-6 with `mean_std_norm`; 0 where all are alike; a lone value as `lone` says."""
    if len(values) == 1 and lone == "raw":
        return list(values)
    if alike(list(values)):
        return [0.0] * len(values)
    mean = statistics.fmean(values)
    scale = statistics.stdev(values) + 1e-6 if norm == "mean_std_norm" else 1.0
    return [(value - mean) / scale for value in values]


def _pairs(values: Sequence[Sequence[float]], keys: Sequence[Sequence[Hashable]]) -> Iterable[tuple[float, Hashable]]:
    return (pair for row, names in zip(values, keys, strict=True) for pair in zip(row, names, strict=True))
