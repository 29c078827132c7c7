"""A linear layer, batch norm by known statistics, tanh."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 8192
INNER = 2048
OUTER = 2048

CPU = dict(ROWS=512, INNER=256, OUTER=512)
GPU = dict(ROWS=8192, INNER=2048, OUTER=2048)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.linear = nn.Linear(inner, outer)
        self.register_buffer("mean", 0.1 * torch.randn(outer))
        self.register_buffer("variance", 0.2 + torch.rand(outer))
        self.norm_weight = nn.Parameter(0.5 + torch.rand(outer))
        self.norm_bias = nn.Parameter(torch.randn(outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.batch_norm(self.linear(x), self.mean, self.variance, self.norm_weight, self.norm_bias)
        return torch.tanh(y)


def get_inputs():
    return [torch.randn(ROWS, INNER)]


def get_init_inputs():
    return [INNER, OUTER]
