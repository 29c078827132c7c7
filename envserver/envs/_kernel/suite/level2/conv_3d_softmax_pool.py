"""A convolution of volumes, softmax over the channels, the largest of each window."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 8
INNER = 16
OUTER = 32
SIZE = 64

CPU = dict(BATCH=2, INNER=4, OUTER=16, SIZE=24)
GPU = dict(BATCH=8, INNER=16, OUTER=32, SIZE=64)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.Conv3d(inner, outer, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool3d(torch.softmax(self.conv(x), dim=1), 2)


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
