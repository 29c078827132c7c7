"""GRPO: DeepSeekMath: Pushing the Limits of Mathematical Reasoning in Open Language Models (arXiv 2402.03300).

    A_i = (R_i - mean(R_1..R_G)) / (std(R_1..R_G) + 1e-6), the same on every token of episode i
    r_t = pi(y_t) / pi_old(y_t)
    loss = -mean_i mean_t [ min(r_t A_i, clip(r_t, 1 - 0.2, 1 + 0.2) A_i) - 0.04 KL_t ]
    KL_t = pi_ref / pi - log(pi_ref / pi) - 1

The paper's: the formulas, the weight 0.04 of the KL term, one update a step. Its followers': clip 0.2 on both sides.
Ours: the standard deviation is of a sample (n - 1); a group of one episode has advantage 0; an episode of many
turns is one sequence, over all its rows; pi_old is the distribution that was really sampled from. `kl = 0` keeps no
reference model.
"""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from trainers.algorithms.base import Algorithm, AlgorithmConfig

__all__ = ["Grpo"]


class GrpoConfig(AlgorithmConfig):
    """GRPO's settings."""

    name: str = "grpo"
    """The algorithm's registry name."""
    kl: float = Field(0.04, ge=0)
    """Weight of the k3 estimate of KL(policy || reference) in the loss; 0 keeps no reference model."""
    aggregate: Literal["sequence", "token", "constant"] = "sequence"
    """Mean over sequences of token means; mean over all tokens; or the token sum over `constant_tokens` a sequence."""


class Grpo(Algorithm):
    """Every hook's default is GRPO's."""

    Config: ClassVar[type[AlgorithmConfig]] = GrpoConfig
