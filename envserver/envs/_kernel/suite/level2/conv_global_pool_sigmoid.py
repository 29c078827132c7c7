"""A convolution, Leaky ReLU, the mean of each channel, a bias and sigmoid."""

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
        self.bias = nn.Parameter(torch.randn(outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.sigmoid(3.0 * functional.leaky_relu(self.conv(x), 0.1).mean(dim=(2, 3)) + self.bias)


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
