"""A frozen model that a policy learns from: what it would say at every token the policy sampled.

Rule: ids mean the same words to both, so it has the policy's tokenizer. Only embeddings may differ in size, as families
of models pad them differently; ids beyond the smaller one are left out of both distributions.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from trainers.batch import Batch, sampled_logprobs
from trainers.models import causal_lm, context_tokens, load_model

__all__ = ["Mentor", "common"]


class Mentor:
    """The teacher of on-policy distillation."""

    def __init__(self, path: Path, tokenizer: Any, *, dtype: Literal["float32", "bfloat16"] = "float32") -> None:
        """Raises ValueError for a directory without a model, and for a model with another tokenizer."""
        self.path = path
        self.model, own = load_model(path, dtype=dtype)
        self.model.requires_grad_(False)
        if own.get_vocab() != tokenizer.get_vocab():
            raise ValueError(
                f"the teacher at {path} has another tokenizer than the policy, so its ids mean other words; take one "
                "of the policy's family"
            )
        self._context = context_tokens(self.model)

    @torch.no_grad()
    def distribution(self, batch: Batch, device: torch.device) -> Tensor:
        """(S, V) float32 nats of all ids at the sampled positions, row after row, at the batch's temperatures.

        The model moves to `device` and stays there. Raises ValueError for rows that are longer than it can read.
        """
        here, length = batch.to(device), batch.ids_BL.shape[1]
        if length > self._context:
            raise ValueError(f"the teacher at {self.path} reads {self._context} tokens, and an episode has {length}")
        logits_BLV = causal_lm(self.model.to(device))(input_ids=here.ids_BL, use_cache=False).logits
        read = sampled_logprobs(
            logits_BLV, nn.Identity(), here.ids_BL, here.mask_BL, here.temperature_B, frozenset({"distribution"})
        )
        assert read.distribution_SV is not None
        return read.distribution_SV.to(batch.ids_BL.device)


def common(one_SV: Tensor, other_SV: Tensor) -> tuple[Tensor, Tensor]:
    """Both over the ids that both know."""
    size = min(one_SV.shape[1], other_SV.shape[1])
    if one_SV.shape[1] == other_SV.shape[1]:
        return one_SV, other_SV
    return torch.log_softmax(one_SV[:, :size], -1), torch.log_softmax(other_SV[:, :size], -1)
