"""A convolution, group norm, a scale a channel, and a clamp."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
INNER = 64
OUTER = 96
SIZE = 112

CPU = dict(BATCH=4, INNER=16, OUTER=32, SIZE=48)
GPU = dict(BATCH=16, INNER=64, OUTER=96, SIZE=112)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, padding=1)
        self.norm_weight = nn.Parameter(0.5 + torch.rand(outer))
        self.norm_bias = nn.Parameter(torch.randn(outer))
        self.scale = nn.Parameter(0.5 + torch.rand(outer, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.group_norm(self.conv(x), 8, self.norm_weight, self.norm_bias)
        return torch.clamp(y * self.scale, -1.5, 1.5)


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
