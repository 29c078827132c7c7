"""VCPO: Stable Asynchrony: Variance-Controlled Off-Policy RL for LLMs (arXiv 2602.17616).

    w_i = pi(y_i) / mu(y_i), of the whole sequence
    loss = -mean_i min(w_i, 8) (R_i - b*) / std(R) mean_t log pi(y_t)
    b* = sum_i |g_i|^2 R_i / sum_i |g_i|^2,  g_i the gradient of min(w_i, 8) mean_t log pi(y_t); a group has its own
    ess = (sum_i w_i)^2 / (n sum_i w_i^2),  learning rate times sqrt(min(1, ess / ess_base))

The paper's: the step scaled by the effective sample size of the weights before they are truncated, sqrt for AdamW; the
baseline of least variance in closed form, a group, at one backward pass a trajectory; weights of sequences truncated
at 8, no clip, the mean over sequences of token means, division by the group's spread; no KL.
ess_base is what on-policy play reaches: 1.0 in the paper's mathematics, 0.55 in its tool use.
Not in what this is written from, code and its README: the derivation. Ours: the norms are those of the terms that are
summed, so with truncated weights and length normalisation; ess over an update's episodes, those of groups without
spread left out, for they are not computed; ess_base 1.0, as our sampler and trainer agree.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Metrics, alike, log_ratios, masked_mean
from trainers.batch import Batch
from trainers.corrections import sequence_ratios

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["Vcpo"]


class VcpoConfig(AlgorithmConfig):
    """VCPO's settings."""

    name: str = "vcpo"
    """The algorithm's registry name."""
    clip_low: float = Field(1.0, ge=0)
    """Not used: no ratio is clipped."""
    clip_high: float = Field(1e9, ge=0)
    """Not used: weights are truncated instead."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    truncate: float = Field(8.0, gt=0)
    """Largest weight pi / mu of a sequence."""
    baseline: Literal["opob", "mean"] = "opob"
    """The return that others are compared with: that of least variance, or the group's mean."""
    divide_by_std: bool = True
    """Whether a group's returns less the baseline are divided by their standard deviation."""
    ess_rule: Literal["sqrt", "linear", "none"] = "sqrt"
    """How the learning rate falls with ess / ess_base."""
    ess_base: float = Field(1.0, gt=0, le=1)
    """Effective share of the samples that play on the policy itself reaches."""


class Vcpo(Algorithm):
    """A smaller step where the samples say less, and the baseline of least variance."""

    Config: ClassVar[type[AlgorithmConfig]] = VcpoConfig
    config: VcpoConfig
    pools_groups = True
    weighs_tokens = False
    takes_gradients = True

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: REINFORCE with truncated sequence weights and the batch's own advantages.

        `update` calls it with advantages 1, one episode a batch, and puts returns and baseline in after.
        """
        weight_E, index_B = self.weights(forward, batch)
        weight_BL = weight_E.clamp(max=self.config.truncate)[index_B, None]
        cut_BL = (weight_E > self.config.truncate)[index_B, None].expand_as(batch.mask_BL)
        metrics = self.watched(log_ratios(forward, batch), torch.zeros_like(batch.mask_BL), batch)
        metrics["policy/truncated_share"] = masked_mean(cut_BL.float(), batch.mask_BL)
        return self.regularised(-weight_BL * batch.advantage_BL * forward.logp_BL, forward, batch, metrics)

    def weights(self, forward: Forward, batch: Batch) -> tuple[Tensor, Tensor]:
        """(E,) pi / mu of each episode, not truncated and without gradient; (B,) each row's episode among them."""
        return sequence_ratios(log_ratios(forward, batch).detach(), batch)

    def update(self, learner: Learner, batches: Sequence[Batch]) -> Metrics:
        """One optimizer step over the groups of a minibatch, one backward pass an episode."""
        total: Metrics = {}
        weights: list[float] = []
        tokens = max(sum(batch.sampled_tokens for batch in batches), 1)
        for batch in batches:
            for group in torch.unique(batch.group_B).tolist():
                members = batch.rows(batch.group_B == group)
                members = replace(members, scale=batch.scale * self.weight(members) / max(self.weight(batch), 1))
                found, metrics = self._compare(learner, members)
                weights += found
                for name, value in metrics.items():
                    share = members.scale if name.startswith("loss/") else members.sampled_tokens / tokens
                    total[name] = total.get(name, 0.0) + value * share
        total["policy/ess"] = effective_share(weights)
        return total | learner.step(self.lr_scale(total["policy/ess"]))

    def lr_scale(self, ess: float) -> float:
        """What an update's learning rate is multiplied by."""
        share = min(1.0, ess / self.config.ess_base)
        return {"sqrt": math.sqrt(share), "linear": share, "none": 1.0}[self.config.ess_rule]

    def _compare(self, learner: Learner, group: Batch) -> tuple[list[float], Metrics]:
        """Adds a group's gradient to the learner's; the weights of its episodes."""
        parameters = [p for name, p in learner.parameters.items() if not name.startswith("critic.")]
        sum_r, sum_1 = ([torch.zeros_like(p) for p in parameters] for _ in range(2))
        weights: list[float] = []
        returns: list[float] = []
        terms: list[float] = []
        squares: list[float] = []
        total: Metrics = {}
        for episode in torch.unique(group.episode_B).tolist():
            one = group.rows(group.episode_B == episode)
            one = replace(one, advantage_BL=one.mask_BL.to(one.advantage_BL.dtype))
            share = self.weight(one) / max(self.weight(group), 1)
            forward = learner.forward(one, self.needs)
            weight_E, _ = self.weights(forward, one)
            weights.append(float(weight_E))
            returns.append(float(one.return_B[0]))
            term = self.aggregated(-weight_E.clamp(max=self.config.truncate) * forward.logp_BL, one)
            terms.append(float(term.detach()) * share)
            slopes = torch.autograd.grad(
                term * share * group.scale, parameters, retain_graph=bool(self.needs), allow_unused=True
            )
            squares.append(sum(float((slope**2).sum()) for slope in slopes if slope is not None))
            for to_r, to_1, slope in zip(sum_r, sum_1, slopes, strict=True):
                if slope is not None:
                    to_r.add_(slope, alpha=returns[-1])
                    to_1.add_(slope)
            loss, metrics = self.loss(forward, replace(one, advantage_BL=torch.zeros_like(one.advantage_BL)))
            if self.needs:  # what is left with advantages 0: KL and entropy
                learner.backward(loss * share * group.scale)
            for name, value in metrics.items():
                part = share if name.startswith("loss/") else one.sampled_tokens / max(group.sampled_tokens, 1)
                total[name] = total.get(name, 0.0) + value * part
        baseline, spread = self.baseline(returns, squares), self.spread(returns)
        total["loss/policy"] += sum(t * (r - baseline) / spread for t, r in zip(terms, returns, strict=True))
        for p, to_r, to_1 in zip(parameters, sum_r, sum_1, strict=True):
            slope = (to_r - baseline * to_1) / spread
            p.grad = slope if p.grad is None else p.grad + slope
        return weights, total

    def baseline(self, returns: Sequence[float], squares: Sequence[float]) -> float:
        """b*: returns weighted by the squared norms of their episodes' gradients; or their mean."""
        if self.config.baseline == "mean" or not sum(squares):
            return statistics.fmean(returns)
        return sum(r * s for r, s in zip(returns, squares, strict=True)) / sum(squares)

    def spread(self, returns: Sequence[float]) -> float:
        """What a group's returns less the baseline are divided by."""
        if not self.config.divide_by_std or alike(returns):
            return 1.0
        return statistics.stdev(returns) + 1e-6


def effective_share(weights: Sequence[float]) -> float:
    """(sum w)^2 / (n sum w^2): 1 where all weigh the same, 1/n where one weighs all; 0 of none."""
    squares = sum(weight**2 for weight in weights)
    return sum(weights) ** 2 / (len(weights) * squares) if squares else 0.0
