"""A convolution that mixes the channels of each pixel."""

import torch
from torch import nn

BATCH = 16
INNER = 128
OUTER = 128
SIZE = 112

CPU = dict(BATCH=4, INNER=64, OUTER=96, SIZE=48)
GPU = dict(BATCH=16, INNER=128, OUTER=128, SIZE=112)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
