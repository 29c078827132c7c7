"""TRLOO: Dr. Kernel: Reinforcement Learning Done Right for Triton Kernel Generations (arXiv 2602.05885).

    G_it = sum_{k >= t} gamma^(k - t) R_ik                                           gamma = 1
    A_it = G_it - mean_{j != i} G_jt = N_t / (N_t - 1) (G_it - mean_j G_jt)          j over the episodes with a turn t
    MRS    keep an episode where 0.999 <= exp(mean_k log(p_trainer / p_sampler)) <= 1.001
           and no token has p_trainer / p_sampler < 1e-4
    PRS    keep a turn that is correct with probability clip((coverage - 0.3) / 0.1, 0, 1)
    loss = -1/G sum_i 1/1000 sum_k min(r_k A, clip(r_k, 1 - 0.2, 1 + 0.28) A)

The baseline of a turn is of the other episodes' turns with its number, so it does not contain the turn itself: GRPO's
does, and its gradient is (1 - 1/N_t) of the true one. No division by the spread.
The paper's: the formulas, and that what MRS or PRS rejects has no gradient. From its released code: the clip, the
divisor 1000, no KL; that a turn without a companion has the baseline 0 (`lone = "raw"`); that PRS leaves wrong turns
and decoys alone; that what was rejected stays in the baselines of the others; that MRS looks at the weights before the
step's first update, for later ones differ from the sampler's by what they learned.
Ours: an episode is what MRS keeps or not, all its turns over all its rows; one that is rejected keeps its place in the
loss's divisor. An answer that cannot be read is a turn like any other (the code masks it). The paper calls its
rejection by profile PRS; as that is Progressive Reward Shaping's name, it is `profile_reject` here. It is a mask and no
reward, for a reward taken away would teach that a correct kernel is wrong; it reads what the world measured
(`coverage`), and a turn whose coverage could not be told is kept.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field, model_validator
from torch import Tensor

from agents.measured import correct, coverage
from agents.types import Turn
from trainers.algorithms.base import Algorithm, AlgorithmConfig, Forward, Group, Metrics, masked_mean
from trainers.algorithms.gigpo import discounted
from trainers.batch import Batch
from trainers.corrections import mismatch, ratios, unvetoed, within

if TYPE_CHECKING:
    from trainers.learner import Learner

__all__ = ["Trloo"]


class TrlooConfig(AlgorithmConfig):
    """TRLOO's settings."""

    name: str = "trloo"
    """The algorithm's registry name."""
    clip_high: float = Field(0.28, ge=0)
    """The importance ratio is clipped above 1 + clip_high."""
    aggregate: Literal["sequence", "token", "constant"] = "constant"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""
    constant_tokens: int = Field(1000, gt=0)
    """Divisor of `aggregate = "constant"`, in tokens."""
    gamma: float = Field(1.0, ge=0, le=1)
    """Discount a turn, of the rewards still to come."""
    lone: Literal["raw", "zero"] = "raw"
    """Advantage of a turn that no other episode has: its return as it is, or 0."""
    mrs: bool = True
    """Whether episodes on which trainer and sampler disagree are rejected."""
    mrs_low: float = Field(0.999, ge=0, le=1)
    """Lowest geometric mean of an episode's ratios of trainer to sampler that is kept."""
    mrs_high: float = Field(1.001, ge=1)
    """Highest that is kept."""
    mrs_veto: float = Field(1e-4, ge=0, lt=1)
    """An episode with a token whose ratio is below this is rejected; 0 rejects none for it."""
    profile_reject: bool = False
    """Whether correct turns whose kernels hardly count are rejected; for worlds that measure `coverage`."""
    profile_from: float = Field(0.3, ge=0, lt=1)
    """tau: coverage up to which a correct turn is always rejected."""
    profile_ramp: float = Field(0.1, ge=0, le=1)
    """s: over so much more the chance to be kept grows to 1; 0 is a hard threshold."""

    @model_validator(mode="after")
    def _rejects_once(self) -> TrlooConfig:
        if self.mrs and self.correction is not None:
            raise ValueError(
                "mrs and algorithm.correction both act on the ratio of trainer to sampler; leave one out (mrs = false)"
            )
        return self

    @model_validator(mode="after")
    def _reaches_one(self) -> TrlooConfig:
        if self.profile_from + self.profile_ramp > 1 + 1e-9:
            raise ValueError(
                f"profile_from + profile_ramp = {self.profile_from + self.profile_ramp:g}, so that even a kernel that "
                "does everything would be rejected now and then; they may add up to 1"
            )
        return self


class Trloo(Algorithm):
    """A turn is compared with the same turn of the other episodes."""

    Config: ClassVar[type[AlgorithmConfig]] = TrlooConfig
    config: TrlooConfig

    pools_episodes = True

    def __init__(self, config: Any, pool: Any) -> None:
        super().__init__(config, pool)
        self._rejected_share = 0.0
        """Of the step's turns, those that `profile_reject` took out."""

    def advantages(self, groups: Sequence[Group]) -> list[list[list[float]]]:
        """[N][G][T]: what is still to come less what the others had to come at this turn; 0 on rejected turns."""
        found = [self._compared([discounted(row, self.config.gamma) for row in group.rewards]) for group in groups]
        return self._masked(groups, found) if self.config.profile_reject else found

    def prepare(self, learner: Learner, batches: Sequence[Batch]) -> list[Batch]:
        """The same batches; with the trainer's log-probabilities where more than one update is to come."""
        return self.remembered(learner, batches) if self.config.mrs else list(batches)

    def loss(self, forward: Forward, batch: Batch) -> tuple[Tensor, Metrics]:
        """Scalar: the clipped surrogate of the episodes that MRS keeps."""
        if not self.config.mrs:
            return super().loss(forward, batch)
        out_BL = ~self.kept(forward, batch)[:, None].expand_as(batch.mask_BL)
        loss, metrics = super().loss(forward, replace(batch, advantage_BL=batch.advantage_BL.masked_fill(out_BL, 0.0)))
        return loss, metrics | {"mrs/rejected_share": masked_mean(out_BL.float(), batch.mask_BL)}

    def update(self, learner: Learner, batches: Sequence[Batch]) -> Metrics:
        """One optimizer step over the batches of a minibatch."""
        metrics = super().update(learner, batches)
        return metrics | {"profile/rejected_share": self._rejected_share} if self.config.profile_reject else metrics

    def kept(self, forward: Forward, batch: Batch) -> Tensor:
        """(B,) bool: whether trainer and sampler agree on the episode of each row."""
        trainer_BL = forward.logp_BL.detach() if batch.before_BL is None else batch.before_BL
        gap_BL = mismatch(trainer_BL, batch)
        kept_B1 = within(ratios("geometric", gap_BL, batch), self.config.mrs_low, self.config.mrs_high)
        return (kept_B1 & unvetoed(gap_BL, self.config.mrs_veto, batch))[:, 0]

    def _compared(self, to_come: Sequence[Sequence[float]]) -> list[list[float]]:
        """[G][T]: each value less the mean of the other episodes' at its turn."""
        found: list[list[float]] = [[] for _ in to_come]
        for turn in range(max(map(len, to_come), default=0)):
            here = [(row, values[turn]) for row, values in zip(found, to_come, strict=True) if len(values) > turn]
            mean, n = statistics.fmean(value for _, value in here), len(here)
            for row, value in here:
                row.append(n / (n - 1) * (value - mean) if n > 1 else value * (self.config.lone == "raw"))
        return found

    def _masked(self, groups: Sequence[Group], found: list[list[list[float]]]) -> list[list[list[float]]]:
        """The same with 0 on the turns that are rejected."""
        rng = self.pool.rng()
        out = [
            [[rng.random() >= self._chance(turn) for turn in episode.turns] for episode in group.episodes]
            for group in groups
        ]
        flat = [value for rows in out for row in rows for value in row]
        self._rejected_share = statistics.fmean(flat) if flat else 0.0
        return [
            [[0.0 if o else v for o, v in zip(outs, values, strict=True)] for outs, values in zip(*pair, strict=True)]
            for pair in zip(out, found, strict=True)
        ]

    def _chance(self, turn: Turn) -> float:
        """Of a turn to be kept."""
        share = coverage(turn)
        if share is None or not correct(turn):
            return 1.0
        above, ramp = share - self.config.profile_from, self.config.profile_ramp
        return min(max(above / ramp, 0.0), 1.0) if ramp else float(above >= 0)
