"""A critic: how much return is still to come, said before each id is sampled.

It has a trunk of its own, a copy of the policy's at the start, so that its errors never pull at the policy; a linear
head that starts at 0 reads it. With adapters only the copy's adapters and the head learn.
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from trainers.batch import preceding
from trainers.models import causal_lm, embedding_shape
from trainers.reader import mixed

__all__ = ["Critic"]


class Critic(nn.Module):
    """Values of states."""

    def __init__(self, model: nn.Module, *, autocast: bool = False) -> None:
        super().__init__()
        self.autocast = autocast
        """Whether the trunk computes in bfloat16; the head never does."""
        self.trunk = copy.deepcopy(causal_lm(model).base_model)
        self.head = nn.Linear(embedding_shape(model)[1], 1, dtype=torch.float32)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, ids_BL: Tensor) -> Tensor:
        """(B, L) float32: [b, t] = value of the state before ids[b, t] is sampled. Rows are padded on the right."""
        with mixed(self.autocast, ids_BL.device.type):
            hidden_BLD = self.trunk(input_ids=ids_BL, use_cache=False).last_hidden_state
        return preceding(self.head(hidden_BLD.float()).squeeze(-1))
