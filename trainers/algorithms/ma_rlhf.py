"""MA-RLHF: Reinforcement Learning from Human Feedback with Macro Actions (arXiv 2410.02743).

    a macro action w is a run of sampled tokens;  V_w = sum_i sigma_i V(s_i) over its tokens
    delta_w = r_w + gamma V_{w+1} - V_w,  A_w = delta_w + gamma lam A_{w+1},  target_w = A_w + V_w
    loss: PPO's, each token with its own ratio and value, and its macro action's advantage and target

Where a macro action ends: after n tokens (`fixed`); after lengths drawn in random order from 1, 2, 3, 5, 10
(`random`); where a token is less likely than the one before it (`perplexity`). With n = 1 it is PPO.
The paper's: those, n = 5, gamma 1, lam 0.95, clip 0.2, KL 0.05. From its released code: sigma (`equal` is the mean,
`last` the last token's, `position` falls as 1 / (i + 1)), no whitening, that the critic is trained at every token.
Ours: a macro action ends where its turn does, so that a turn's reward is of its last macro action; it is that one's
whole, where the code pools rewards and sets the last token apart to keep its reward. `turn` makes one macro action of
a turn, for there the world acts. The KL is a k3 in the loss, where the paper has it in the reward. Perplexity is the
sampler's own, where the code asks the reference, and a macro action begins at the unlikelier token, where the code
begins it one token earlier. Termination by a parser's constituents is not built.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from typing import ClassVar, Literal

import torch
from pydantic import Field
from torch import Tensor

from trainers.algorithms.base import AlgorithmConfig
from trainers.algorithms.ppo import Ppo, PpoConfig
from trainers.batch import Batch
from trainers.gae import Trajectories, gae

__all__ = ["MaRlhf"]

LENGTHS = (1, 2, 3, 5, 10)
"""Of macro actions whose ends are random, in tokens."""


class MaRlhfConfig(PpoConfig):
    """MA-RLHF's settings."""

    name: str = "ma_rlhf"
    """The algorithm's registry name."""
    kl: float = Field(0.05, ge=0)
    """Weight of the k3 estimate of KL(policy || reference) in the loss; 0 keeps no reference model."""
    lam: float = Field(0.95, ge=0, le=1)
    """Lambda of generalised advantage estimation over macro actions."""
    whiten: bool = False
    """Whether advantages are shifted and scaled to mean 0 and variance 1 over the step's sampled tokens."""
    termination: Literal["fixed", "random", "perplexity", "turn"] = "fixed"
    """Where a macro action ends."""
    ngram: int = Field(5, ge=1)
    """Tokens of a macro action whose termination is fixed."""
    sigma: Literal["equal", "last", "position"] = "equal"
    """How the values of its tokens are the value of a macro action."""


class MaRlhf(Ppo):
    """Credit a run of tokens."""

    Config: ClassVar[type[AlgorithmConfig]] = MaRlhfConfig
    config: MaRlhfConfig

    def estimated(
        self, played: Trajectories, batches: Sequence[Batch], reward_K: Tensor, value_K: Tensor
    ) -> tuple[Tensor, Tensor]:
        """(K,) each token's macro action's advantage and target."""
        logp_K = played.flat([batch.behaviour_BL for batch in batches])
        macro_K = self.macro_actions(played.lasts_K, logp_K)
        count = int(macro_K[-1]) + 1
        value_M = self.pooled(value_K, macro_K)
        reward_M = value_M.new_zeros(count).index_add(0, macro_K, reward_K)
        ends_M = torch.zeros(count, dtype=torch.bool).index_fill(0, macro_K[played.ends_K].cpu(), True)
        advantage_M = gae(reward_M, value_M, ends_M, gamma=self.config.gamma, lam=self.config.lam)
        return advantage_M[macro_K], (advantage_M + value_M)[macro_K]

    def macro_actions(self, lasts_K: Tensor, logp_K: Tensor) -> Tensor:
        """(K,) int64: the number of each token's macro action, counted over the step."""
        rng = self.pool.rng() if self.config.termination == "random" else random.Random(0)
        lasts, logp = lasts_K.tolist(), logp_K.tolist()
        out: list[int] = []
        macro = length = 0
        lengths: Iterator[int] = iter(())
        for k in range(len(lasts)):
            fresh = k == 0 or lasts[k - 1]
            if fresh:
                lengths = self._lengths(rng)
            if fresh or self._ends(length, logp[k - 1], logp[k]):
                macro += k > 0
                length = next(lengths)
            length -= 1
            out.append(macro)
        return torch.tensor(out, device=lasts_K.device)

    def pooled(self, values_K: Tensor, macro_K: Tensor) -> Tensor:
        """(M,): sum of sigma times value over each macro action, which `macro_K` numbers in order."""
        sizes_M = torch.bincount(macro_K)
        at_K = torch.arange(len(macro_K), device=macro_K.device) - (sizes_M.cumsum(0) - sizes_M)[macro_K]
        if self.config.sigma == "last":
            share_K = (at_K == sizes_M[macro_K] - 1).to(values_K.dtype)
        elif self.config.sigma == "position":
            share_K = 1.0 / (at_K + 1).to(values_K.dtype)
        else:
            share_K = torch.ones_like(values_K)
        empty_M = values_K.new_zeros(len(sizes_M))
        return empty_M.index_add(0, macro_K, share_K * values_K) / empty_M.index_add(0, macro_K, share_K)

    def _lengths(self, rng: random.Random) -> Iterator[int]:
        """Tokens of the next macro actions of a turn, as far as lengths decide."""
        while True:
            yield from rng.sample(LENGTHS, len(LENGTHS)) if self.config.termination == "random" else [self.config.ngram]

    def _ends(self, left: int, before: float, now: float) -> bool:
        """Whether a new macro action begins within a turn, by the tokens left and the log-probabilities around."""
        if self.config.termination == "perplexity":
            return now < before
        return self.config.termination != "turn" and left <= 0
