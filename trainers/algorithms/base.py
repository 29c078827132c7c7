"""An algorithm: hooks with GRPO's answer as default; a paper's file overrides only what the paper changes.

A step of the loop: `choose` tasks, play them, `observe` and `admit` groups, `replace` those not admitted, `advantages`
of the admitted ones, rows in minibatches, `prepare` once over all of them, then `update` once a minibatch and epoch.

A *sequence* is an episode: all its sampled tokens, over all its rows. So group statistics, sequence means and sequence
ratios are the same whether a context keeps an episode in one row or cuts it into many.

Shape suffixes: `N` groups of a step, `G` episodes of a group, `T` turns, `B` rows, `L` tokens of a row, `E` episodes of
a batch. Log-probabilities in nats.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

from agents.types import Episode
from envserver.schema import Task
from trainers.batch import Batch
from trainers.corrections import CorrectionConfig, corrected, mismatch
from trainers.sums import MAX_LOG_RATIO_NATS, bounded, episode_sums, masked_mean

if TYPE_CHECKING:
    from trainers.learner import Learner
    from trainers.tasks import TaskPool

__all__ = [
    "MAX_LOG_RATIO_NATS",
    "Algorithm",
    "AlgorithmConfig",
    "Forward",
    "Group",
    "Metrics",
    "Need",
    "alike",
    "episode_sums",
    "k3",
    "log_ratios",
    "masked_mean",
]

Metrics = dict[str, float]
Need = Literal["entropy", "reference", "value", "greedy", "distribution"]


@dataclass(slots=True)
class Group:
    """G episodes of one task; an episode that is not valid is already left out."""

    task: Task
    episodes: list[Episode]
    rewards: list[list[float]]
    """[G][T] shaped rewards."""
    shown: list[Episode] = field(default_factory=list)
    """The expert's episode of the task, where the algorithm asked for it and the expert solves it."""

    @property
    def returns(self) -> list[float]:
        """[G] sum of the shaped rewards of each episode."""
        return [sum(row) for row in self.rewards]


@dataclass(frozen=True, slots=True)
class Forward:
    """What one forward pass over a Batch gives. Nats; None unless the algorithm `needs` it."""

    logp_BL: Tensor
    """Differentiable; of the distribution that was sampled from (temperature applied)."""
    entropy_BL: Tensor | None = None
    """Differentiable where the loss has an entropy bonus."""
    reference_BL: Tensor | None = None
    """Log-probabilities under the frozen reference policy."""
    value_BL: Tensor | None = None
    """Differentiable; the critic's value of the state before ids[b, t] is sampled."""
    greedy_BL: Tensor | None = None
    """bool; True where the sampled id is the likeliest one."""
    distribution_SV: Tensor | None = None
    """Differentiable; the log-probabilities of all ids at the S sampled positions, row after row."""


class AlgorithmConfig(BaseModel):
    """Settings every algorithm has; the defaults are the paper's."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = "grpo"
    """The algorithm's registry name."""
    clip_low: float = Field(0.2, ge=0)
    """The importance ratio is clipped below 1 - clip_low; 1 or more never clips."""
    clip_high: float = Field(0.2, ge=0)
    """The importance ratio is clipped above 1 + clip_high."""
    kl: float = Field(0.0, ge=0)
    """Weight of the k3 estimate of KL(policy || reference) in the loss; 0 keeps no reference model."""
    entropy: float = 0.0
    """Weight of the mean entropy, in nats, that is added to the objective."""
    aggregate: Literal["sequence", "token", "constant"] = "token"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    constant_tokens: int = Field(1024, gt=0)
    """Divisor of `aggregate = "constant"`, in tokens."""
    epochs: int = Field(1, ge=1)
    """Passes over the episodes of a step."""
    minibatches: int = Field(1, ge=1)
    """Optimizer steps a pass; more than one makes the later ones off-policy."""
    max_draws: int = Field(1, ge=1)
    """Times at most that tasks are drawn in a step to replace groups that were not admitted."""
    correction: CorrectionConfig | None = None
    """Weights and masks where what sampled is not what learns; a table, of which any key is enough."""


class Algorithm:
    """GRPO's answer to every hook. See `grpo.py` for the paper."""

    Config: ClassVar[type[AlgorithmConfig]] = AlgorithmConfig
    needs_critic: ClassVar[bool] = False
    raw_credit: ClassVar[bool] = False
    """True where `advantages` gives rewards that `prepare` turns into advantages; a 0 then says nothing yet."""
    pools_episodes: ClassVar[bool] = False
    """True where `loss` reads all rows of an episode at once, whatever `aggregate` says."""
    pools_groups: ClassVar[bool] = False
    """True where episodes of a group are compared in `loss` or `update`."""
    weighs_tokens: ClassVar[bool] = True
    """True where `loss` is linear in the advantages of tokens, so that a weight of theirs is a weight in the loss."""
    takes_gradients: ClassVar[bool] = False
    """True where `update` reads and writes the gradients themselves, which no one of many processes has whole."""

    def __init__(self, config: AlgorithmConfig, pool: TaskPool) -> None:
        """Raises ValueError for a correction where advantages of tokens are not weighed."""
        if config.correction is not None and not self.weighs_tokens:
            raise ValueError(
                f"'{config.name}' weighs no single token, so algorithm.correction cannot act; leave it out"
            )
        self.config = config
        self.pool = pool

    @property
    def needs(self) -> frozenset[Need]:
        """What a forward pass of `update` gives beside the log-probabilities."""
        wanted: set[Need] = set()
        if self.config.entropy:
            wanted.add("entropy")
        if self.config.kl:
            wanted.add("reference")
        if self.needs_critic:
            wanted.add("value")
        return frozenset(wanted)

    @property
    def keeps(self) -> frozenset[Need]:
        """What the learner must be able to give: what `update` needs, and `prepare`."""
        return self.needs

    @property
    def teacher(self) -> tuple[Path, str] | None:
        """A frozen model that reads batches in `prepare`, padded and not side by side: its directory, and its dtype."""
        return None

    @property
    def together(self) -> Literal["row", "episode", "group"]:
        """What a batch holds whole: with "episode", all rows of an episode lie in one batch."""
        if self.pools_groups:
            return "group"
        correction = self.config.correction
        pools = self.pools_episodes or (correction is not None and correction.pools_episodes)
        return "episode" if pools or self.config.aggregate != "token" else "row"

    @classmethod
    def in_turn(cls) -> bool:
        """Whether tasks are chosen by how earlier ones went: then no step is played before the last one is over."""
        return any(getattr(cls, name) is not getattr(Algorithm, name) for name in ("choose", "replace", "observe"))

    @property
    def skips_zero(self) -> bool:
        """Whether an episode whose advantages are all 0 has no gradient, so that its rows need no forward pass."""
        return not (self.raw_credit or self.needs)

    def meet(self, tokenizer: Any) -> None:
        """Once, before anything is played: the policy's tokenizer. Raises ValueError for what cannot learn with it."""

    def choose(self, n: int) -> list[Task]:
        """The next n tasks to play: uniform, without repeats while there are enough."""
        return self.pool.draw(n)

    def replace(self, n: int) -> list[Task]:
        """n tasks to play in the same step in the place of groups that were lost or not admitted."""
        return self.choose(n)

    def observe(self, group: Group) -> None:
        """Take in how a group went: each that was played and not lost, once, before `admit` is asked."""
        self.pool.observe(group.task, group.returns)

    def report(self) -> Metrics:
        """What a run logs of how the step's tasks were chosen, asked once when all are played."""
        return {}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs beside the pool and the learner, as plain JSON."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""

    def admit(self, group: Group) -> bool:
        """Whether a finished group is trained on."""
        return True

    @property
    def passes(self) -> int:
        """Over the episodes of the step under way."""
        return self.config.epochs

    def again(self, groups: Sequence[Group]) -> list[Group]:
        """Groups of earlier steps that are learned from once more beside these. Asked once a step, before all else."""
        return []

    def asks(self, group: Group) -> bool:
        """Whether the expert is to show the task of a group that is about to be learned from."""
        return False

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: the `scores` of each group's returns, on each turn."""
        return [
            [[score] * len(rewards) for score, rewards in zip(self.scores(group.returns), group.rewards, strict=True)]
            for group in groups
        ]

    def scores(self, returns: list[float]) -> list[float]:
        """[G] -> [G]: (return - mean) / (std + 1e-6) of one group; 0 where there is nothing to compare with."""
        if alike(returns):
            return [0.0] * len(returns)
        mean, std = statistics.fmean(returns), statistics.stdev(returns)
        return [(value - mean) / (std + 1e-6) for value in returns]

    def prepare(self, learner: Learner, batches: Sequence[Batch]) -> list[Batch]:
        """All batches of a step, once before its first update, as many and in the same order: for what needs both the
        whole step and the learner, such as a critic's advantages."""
        return list(batches)

    def remembered(self, learner: Learner, batches: Sequence[Batch]) -> list[Batch]:
        """The same batches with `before_BL` where more than one update is to come; a single one finds these
        log-probabilities in its own forward pass."""
        if self.config.minibatches * self.passes == 1:
            return list(batches)
        with torch.no_grad():
            return [
                replace(batch, before_BL=learner.forward(batch).logp_BL) if batch.before_BL is None else batch
                for batch in batches
            ]

    def objective(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """`loss`, of what the config's correction makes of the batch."""
        if self.config.correction is None:
            return self.loss(forward, batch)
        batch, seen = corrected(self.config.correction, forward.logp_BL, batch)
        loss, metrics = self.loss(forward, batch)
        return loss, metrics | seen

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar to be minimised: the clipped surrogate with optional KL and entropy terms."""
        return self.clipped(log_ratios(forward, batch), forward, batch)

    def clipped(self, log_ratio_BL: Tensor, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """The loss of `min(r A, clip(r) A)` for the ratios whose logarithms these are."""
        ratio_BL = log_ratio_BL.exp()
        clipped_BL = ratio_BL.clamp(1 - self.config.clip_low, 1 + self.config.clip_high)
        surrogate_BL = torch.minimum(ratio_BL * batch.advantage_BL, clipped_BL * batch.advantage_BL)
        cut_BL = surrogate_BL < ratio_BL * batch.advantage_BL
        return self.regularised(-surrogate_BL, forward, batch, self.watched(log_ratio_BL, cut_BL, batch))

    def watched(self, log_ratio_BL: Tensor, cut_BL: Tensor, batch: Batch) -> Metrics:
        """What every policy loss reports: how far the policy is from the one that sampled, and how much is cut."""
        log_ratio_BL = log_ratio_BL.detach()
        ratio_BL = log_ratio_BL.exp()
        return {
            "policy/ratio_mean": masked_mean(ratio_BL, batch.mask_BL),
            "policy/clip_frac": masked_mean(cut_BL.float(), batch.mask_BL),
            "policy/kl_behaviour_nats": masked_mean(ratio_BL - 1 - log_ratio_BL, batch.mask_BL),
        }

    def regularised(self, loss_BL: Tensor, forward: Forward, batch: Batch, metrics: Metrics) -> tuple[Tensor, Metrics]:
        """Adds KL and entropy terms to a per-token loss and aggregates it to a scalar."""
        if self.config.kl and forward.reference_BL is not None:
            kl_BL = k3(forward.reference_BL, forward.logp_BL, batch)
            loss_BL = loss_BL + self.config.kl * kl_BL
            metrics["policy/kl_reference_nats"] = masked_mean(kl_BL.detach(), batch.mask_BL)
        if self.config.entropy and forward.entropy_BL is not None:
            loss_BL = loss_BL - self.config.entropy * forward.entropy_BL
        loss = self.aggregated(loss_BL, batch)
        metrics["loss/policy"] = float(loss.detach())
        return loss, metrics

    def weight(self, batch: Batch) -> int:
        """What `aggregated` divides by: the sampled tokens, or the episodes, of a batch.

        A batch's `scale` is its weight over its minibatch's. Then any cut of a minibatch into batches has the gradient
        of the whole, whatever the `aggregate`.
        """
        return batch.sampled_tokens if self.config.aggregate == "token" else len(torch.unique(batch.episode_B))

    def aggregated(self, loss_BL: Tensor, batch: Batch) -> Tensor:
        """(B, L) -> scalar, by `aggregate`; positions that were not sampled count nowhere."""
        loss_BL = loss_BL.masked_fill(~batch.mask_BL, 0.0)
        divisor = max(self.weight(batch), 1)
        if self.config.aggregate == "token":
            return loss_BL.sum() / divisor
        if self.config.aggregate == "constant":
            return loss_BL.sum() / (self.config.constant_tokens * divisor)
        sums_E, _ = episode_sums(loss_BL, batch)
        tokens_E, _ = episode_sums(batch.mask_BL.to(loss_BL.dtype), batch)
        return (sums_E / tokens_E.clamp(min=1)).sum() / divisor

    def update(self, learner: Learner, batches: Sequence[Batch]) -> Metrics:
        """One optimizer step over the batches of a minibatch.

        Metrics are means over the sampled tokens, but `loss/*`: they are the minibatch's loss.
        """
        total: Metrics = {}
        tokens = max(sum(batch.sampled_tokens for batch in batches), 1)
        for batch in batches:
            loss, metrics = self.objective(learner.forward(batch, self.needs), batch)
            learner.backward(loss * batch.scale)
            for name, value in metrics.items():
                share = batch.scale if name.startswith("loss/") else batch.sampled_tokens / tokens
                total[name] = total.get(name, 0.0) + value * share
        total.update(learner.step())
        return total


def alike(returns: Sequence[float]) -> bool:
    """Whether there is nothing to compare: fewer than two returns, or all equal but for rounding."""
    return len(returns) < 2 or max(returns) - min(returns) < 1e-9


def k3(other_BL: Tensor, logp_BL: Tensor, batch: Batch) -> Tensor:
    """(B, L): Schulman's estimate of KL(policy || other) at each sampled token: unbiased on policy, never negative."""
    gap_BL = bounded((other_BL - logp_BL).masked_fill(~batch.mask_BL, 0.0))
    return gap_BL.exp() - gap_BL - 1


def log_ratios(forward: Forward, batch: Batch) -> Tensor:
    """(B, L): log(policy / the policy that sampled), cut at MAX_LOG_RATIO_NATS; 0 where mask is False."""
    return mismatch(forward.logp_BL, batch)
