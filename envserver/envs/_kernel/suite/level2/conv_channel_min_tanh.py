"""A convolution, the smallest channel of each pixel, tanh of it and of that."""

import torch
from torch import nn

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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.tanh(torch.tanh(torch.amin(self.conv(x), dim=1, keepdim=True)))


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
