"""A convolution of images with padding."""

import torch
from torch import nn

BATCH = 16
INNER = 64
OUTER = 128
SIZE = 128

CPU = dict(BATCH=4, INNER=32, OUTER=32, SIZE=48)
GPU = dict(BATCH=16, INNER=64, OUTER=128, SIZE=128)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
