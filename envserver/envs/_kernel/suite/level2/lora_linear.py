"""A linear layer with a correction of low rank."""

import torch
from torch import nn

ROWS = 8192
INNER = 2048
OUTER = 2048
RANK = 16

CPU = dict(ROWS=512, INNER=256, OUTER=512, RANK=8)
GPU = dict(ROWS=8192, INNER=2048, OUTER=2048, RANK=16)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int, rank: int):
        super().__init__()
        self.linear = nn.Linear(inner, outer)
        self.down = nn.Parameter(torch.randn(rank, inner) / inner**0.5)
        self.up = nn.Parameter(torch.randn(outer, rank))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x) + 0.25 * ((x @ self.down.T) @ self.up.T)


def get_inputs():
    return [torch.randn(ROWS, INNER)]


def get_init_inputs():
    return [INNER, OUTER, RANK]
