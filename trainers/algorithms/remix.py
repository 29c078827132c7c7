"""ReMix: Squeeze the Soaked Sponge: Efficient Off-policy Reinforcement Finetuning for Large Language Model (arXiv
2507.06892).

    with probability p a group of the last N steps is learned from again, in the place of one that would be played
    r = pi(y_t) / pi_{k-i}(y_t), of the policy that sampled it;  c = pi_k(y_t) / pi_{k-i}(y_t), pi_k the step's first
    loss = -mean min(r A, clip(r, c - eps, c + eps) A) + beta [lambda KL(pi || pi_base) + (1 - lambda) KL(pi || pi_k)]
    lambda(t) = max(1 - 0.1 ceil(max(t - 50, 0) / 10), 0.5),  m passes over a step's data
    at step T: pi_base is pi_T from then on, and what is played is learned from once

Early on old samples save rollouts; the clip is around where the policy stands for each of them. Later the run goes on
from a base that has moved, on policy.
The paper's: that, p 0.4, N 2, m 2, T 50 or 100, lambda's schedule.
Not in what this is written from: eps, beta, what the precedent model of the KL is when the step begins. Ours: eps 0.2,
beta 0.001, and pi_k, the policy that the step begins with; GRPO's advantages and its sequence mean; KL as k3. A share p
of a step's groups is drawn on average, each of a step i = 1 .. N ago with the same chance and none twice in a step; one
group at least is played. T 100; the optimizer starts anew there, and lambda's clock goes on.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from envserver.schema import Task
from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Group, Metrics, k3, log_ratios, masked_mean
from trainers.batch import Batch
from trainers.sums import bounded

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["Remix"]


class RemixConfig(AlgorithmConfig):
    """ReMix's settings."""

    name: str = "remix"
    """The algorithm's registry name."""
    kl: float = Field(0.001, ge=0)
    """beta: weight of the convex mixture of KLs in the loss; 0 keeps no reference model."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    epochs: int = Field(2, ge=1)
    """m: passes over the episodes of a step, until it is reincarnated; 1 from then on."""
    old: float = Field(0.4, ge=0, lt=1)
    """p: chance that a group is an old one."""
    window: int = Field(2, ge=1)
    """N: of how many steps back at most."""
    kl_hold: int = Field(50, ge=0)
    """Steps for which lambda is 1."""
    kl_every: int = Field(10, ge=1)
    """Steps between two falls of lambda by 0.1."""
    kl_floor: float = Field(0.5, ge=0, le=1)
    """Smallest lambda."""
    reincarnate: int = Field(100, ge=0)
    """T: the step after which the policy is its own base, and learning on policy; 0: never."""


class Remix(Algorithm):
    """Old samples first, then on from what they taught."""

    Config: ClassVar[type[AlgorithmConfig]] = RemixConfig
    config: RemixConfig

    def __init__(self, config: Any, pool: Any) -> None:
        super().__init__(config, pool)
        self.steps = 0
        """Steps that were learned from, the one under way included."""
        self._reborn = False
        """Whether the policy has become its own base."""
        self._owed = 0
        """Old groups that the step under way learns from."""
        self._share = 0.0
        """Of the groups of the step under way, those that are old."""
        self._kept: deque[list[Group]] = deque(maxlen=config.window)
        """The groups of the last steps, the newest last."""

    @property
    def reincarnated(self) -> bool:
        """Whether the step under way is beyond T."""
        return 0 < self.config.reincarnate < self.steps

    @property
    def passes(self) -> int:
        """m before T, 1 after it."""
        return 1 if self.reincarnated else self.config.epochs

    @property
    def share(self) -> float:
        """lambda of the step under way."""
        falls = math.ceil(max(self.steps - self.config.kl_hold, 0) / self.config.kl_every)
        return max(1 - 0.1 * falls, self.config.kl_floor)

    def choose(self, n: int) -> list[Task]:
        """The next tasks to play: fewer than n, where old groups are to stand in the place of some."""
        rng, there = self.pool.rng(), sum(map(len, self._kept))
        self._owed = min(sum(rng.random() < self.config.old for _ in range(n)), max(n - 1, 0), there)
        return self.pool.draw(n - self._owed)

    def replace(self, n: int) -> list[Task]:
        """As many as are missing beside the old groups."""
        return self.pool.draw(max(n - self._owed, 0))

    def again(self, groups: Sequence[Group]) -> list[Group]:
        """The old groups of this step; `groups` are kept for those to come."""
        self.steps += 1
        drawn: list[Group] = []
        if self.reincarnated:
            self._kept.clear()
        else:
            rng, left = self.pool.rng(), [list(step) for step in self._kept]
            for _ in range(self._owed):
                if step := rng.choice([step for step in left if step] or [[]]):
                    drawn.append(step.pop(rng.randrange(len(step))))
            if not self.config.reincarnate or self.steps < self.config.reincarnate:
                self._kept.append(list(groups))
            else:
                self._kept.clear()  # the next step is on policy
        self._share = len(drawn) / max(len(groups) + len(drawn), 1)
        return drawn

    def prepare(self, learner: Learner, batches: Sequence[Batch]) -> list[Batch]:
        """The same batches with pi_k; in the first step after T the policy becomes its own base before."""
        if self.reincarnated and not self._reborn:
            learner.rebase()
            self._reborn = True
        return self.remembered(learner, batches)

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: the surrogate clipped around pi_k, and the convex mixture of KLs."""
        log_ratio_BL = log_ratios(forward, batch)
        before_BL = forward.logp_BL.detach() if batch.before_BL is None else batch.before_BL
        centre_BL = bounded((before_BL - batch.behaviour_BL).masked_fill(~batch.mask_BL, 0.0)).exp()
        ratio_BL = log_ratio_BL.exp()
        clipped_BL = ratio_BL.clamp(centre_BL - self.config.clip_low, centre_BL + self.config.clip_high)
        surrogate_BL = torch.minimum(ratio_BL * batch.advantage_BL, clipped_BL * batch.advantage_BL)
        cut_BL = surrogate_BL < ratio_BL * batch.advantage_BL
        metrics = self.watched(log_ratio_BL, cut_BL, batch) | {"remix/lambda": self.share}
        loss_BL = -surrogate_BL
        if self.config.kl and forward.reference_BL is not None:
            base_BL = k3(forward.reference_BL, forward.logp_BL, batch)
            near_BL = k3(before_BL, forward.logp_BL, batch)
            loss_BL = loss_BL + self.config.kl * (self.share * base_BL + (1 - self.share) * near_BL)
            metrics["policy/kl_reference_nats"] = masked_mean(base_BL.detach(), batch.mask_BL)
        return self.regularised(loss_BL, replace(forward, reference_BL=None), batch, metrics)

    def update(self, learner: Learner, batches: Sequence[Batch]) -> Metrics:
        """One optimizer step over the batches of a minibatch."""
        return super().update(learner, batches) | {"remix/old_share": self._share}

    def state_dict(self) -> dict[str, Any]:
        """What a resumed run needs. Old groups are not in it: a resumed run gathers them anew."""
        return {"steps": self.steps, "reborn": self._reborn}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from `state`."""
        self.steps, self._reborn = state.get("steps", 0), state.get("reborn", False)
