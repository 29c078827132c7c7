"""A convolution of volumes."""

import torch
from torch import nn

BATCH = 4
INNER = 32
OUTER = 64
SIZE = 48

CPU = dict(BATCH=1, INNER=8, OUTER=16, SIZE=32)
GPU = dict(BATCH=4, INNER=32, OUTER=64, SIZE=48)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.Conv3d(inner, outer, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
