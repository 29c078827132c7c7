"""The Kronecker product of two matrices."""

import torch
from torch import nn

OUTER = 64
INNER = 96

CPU = dict(OUTER=24, INNER=40)
GPU = dict(OUTER=64, INNER=96)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.kron(a, b)


def get_inputs():
    return [torch.randn(OUTER, OUTER), torch.randn(INNER, INNER)]


def get_init_inputs():
    return []
