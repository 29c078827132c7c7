"""A linear layer, the input added, layer norm."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 8192
INNER = 2048
OUTER = 2048

CPU = dict(ROWS=512, INNER=512, OUTER=512)
GPU = dict(ROWS=8192, INNER=2048, OUTER=2048)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.linear = nn.Linear(inner, outer)
        self.norm_weight = nn.Parameter(0.5 + torch.rand(outer))
        self.norm_bias = nn.Parameter(torch.randn(outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.linear(x) + x
        return functional.layer_norm(y, self.norm_weight.shape, self.norm_weight, self.norm_bias)


def get_inputs():
    return [torch.randn(ROWS, INNER)]


def get_init_inputs():
    return [INNER, OUTER]
