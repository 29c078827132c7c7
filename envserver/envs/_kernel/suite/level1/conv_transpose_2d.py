"""A transposed convolution that doubles an image's size."""

import torch
from torch import nn

BATCH = 16
INNER = 64
OUTER = 32
SIZE = 96

CPU = dict(BATCH=2, INNER=32, OUTER=32, SIZE=48)
GPU = dict(BATCH=16, INNER=64, OUTER=32, SIZE=96)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
