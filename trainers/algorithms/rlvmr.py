"""RLVMR: Reinforcement Learning with Verifiable Meta-Reasoning Rewards for Robust Long-Horizon Agents
(arXiv 2507.22844).

`reading = "paper"`, GRPO-MR (equations 2 to 5):

    A_traj   = (R - mean(R)) / std(R)                        over the episodes of the batch
    A_tag,t  = (r_t - mean_tag(r)) / std_tag(r)              over all turns of the batch with that tag
    A_t      = alpha A_traj + (1 - alpha) A_tag,t,           alpha = 0.5
    loss     = -mean min(r A, clip(r) A) + 0.01 KL

`reading = "code"`, as its released code has it:

    A_t      = A_group + step_weight A_group,tag,t,          step_weight = 1
    A_group over the turns of a task's episodes, each with its episode's return (success is 10) less the format penalty
    of that turn; A_group,tag over the turns of a task with that tag, monitor counting as none; a tag seen once in a
    task has mean 0 and F = 1, so its advantage is its reward.

R is the sum of an episode's raw rewards, r_t what the shapers added to a turn's raw reward: the shaper `rlvmr` adds the
meta-reasoning rewards. So a turn still has one number, and the two signals stay apart.
The paper leaves open the clip (0.2 here), and what a turn without a tag is compared with. Ours: in its reading such a
turn, which earned the format penalty, is compared with all turns of the batch; standard deviations are of a sample,
+ 1e-6, and where all values are alike the advantage is 0; `trajectory = "group"`; the weight of A_group. The ablations:
no trajectory advantage is alpha = 0 (code: episode_weight = 0), no meta-reasoning advantage is alpha = 1 (code:
step_weight = 0), no cold start is sft.demonstrations = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field

from agents.types import Episode
from trainers.algorithms.base import Algorithm, AlgorithmConfig, Group
from trainers.algorithms.gigpo import Norm, normed, within

__all__ = ["Rlvmr"]

REWARDED = ("planning", "explore", "reflection")
"""Tags that the code compares apart; all other turns are one kind to it."""


class RlvmrConfig(AlgorithmConfig):
    """RLVMR's settings."""

    name: str = "rlvmr"
    """The algorithm's registry name."""
    kl: float = Field(0.01, ge=0)
    """Weight of the k3 estimate of KL(policy || reference) in the loss; 0 keeps no reference model."""
    reading: Literal["paper", "code"] = "paper"
    """Which of the two published readings is computed."""
    alpha: float = Field(0.5, ge=0, le=1)
    """Paper: share of the trajectory advantage; 0 leaves it out, 1 leaves the meta-reasoning advantage out."""
    trajectory: Literal["batch", "group"] = "batch"
    """Paper: what the trajectory advantage is normalised over, all episodes of the step or those of the task."""
    episode_weight: float = Field(1.0, ge=0)
    """Code: weight of the episode's advantage; 0 leaves it out."""
    step_weight: float = Field(1.0, ge=0)
    """Code: weight of the meta-reasoning advantage; 0 leaves it out."""
    norm: Norm = "mean_std_norm"
    """Code: what a group's values are put over after its mean is taken off: their standard deviation, or nothing."""
    outcome_scale: float = Field(10.0, gt=0)
    """Code: what a raw return is multiplied by before the format penalty is taken off: success is worth 10 there."""


class Rlvmr(Algorithm):
    """The outcome of an episode, mixed with how well each turn's reasoning did among its kind."""

    Config: ClassVar[type[AlgorithmConfig]] = RlvmrConfig
    config: RlvmrConfig

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: trajectory and meta-reasoning advantage, mixed."""
        if self.config.reading == "code":
            return [self._as_in_the_code(group) for group in groups]
        return self._as_in_the_paper(groups)

    def _as_in_the_paper(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        alpha = self.config.alpha
        outcomes = [[sum(episode.rewards) for episode in group.episodes] for group in groups]
        if self.config.trajectory == "batch":
            whole = within(outcomes, [[0] * len(row) for row in outcomes], "mean_std_norm", "zero")
        else:
            whole = [normed(row, "mean_std_norm", "zero") for row in outcomes]
        earned = [row for group in groups for row in meta_rewards(group)]
        tags = [_tags(episode) for group in groups for episode in group.episodes]
        among_kind = within(earned, tags, "mean_std_norm", "zero")
        among_all = within(earned, [[0] * len(row) for row in earned], "mean_std_norm", "zero")
        turns = iter(
            [kind if tag else every for tag, kind, every in zip(*rows, strict=True)]
            for rows in zip(tags, among_kind, among_all, strict=True)
        )
        return [[[alpha * score + (1 - alpha) * value for value in next(turns)] for score in row] for row in whole]

    def _as_in_the_code(self, group: Group) -> list[list[float]]:
        config = self.config
        earned, tags = meta_rewards(group), [_tags(episode) for episode in group.episodes]
        outcomes = [config.outcome_scale * sum(episode.rewards) for episode in group.episodes]
        returns: list[list[float]] = []
        rewards: list[list[float]] = []
        for outcome, row, names in zip(outcomes, earned, tags, strict=True):
            returns.append([outcome + (0.0 if tag else value) for value, tag in zip(row, names, strict=True)])
            rewards.append([value if tag else 0.0 for value, tag in zip(row, names, strict=True)])
        kinds = [[tag if tag in REWARDED else "" for tag in names] for names in tags]
        whole = within(returns, [[0] * len(row) for row in returns], config.norm, "zero")
        step = within(rewards, kinds, config.norm, "raw")
        return [
            [config.episode_weight * one + config.step_weight * other for one, other in zip(*rows, strict=True)]
            for rows in zip(whole, step, strict=True)
        ]


def meta_rewards(group: Group) -> list[list[float]]:
    """[G][T] what the shapers added to each turn's raw reward."""
    return [
        [shaped - raw for shaped, raw in zip(row, episode.rewards, strict=True)]
        for row, episode in zip(group.rewards, group.episodes, strict=True)
    ]


def _tags(episode: Episode) -> list[str]:
    return [turn.reply.tag for turn in episode.turns]
