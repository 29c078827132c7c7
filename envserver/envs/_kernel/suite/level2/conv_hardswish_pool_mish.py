"""A convolution, hard swish, the largest of each window, Mish."""

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

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.mish(functional.max_pool2d(functional.hardswish(self.conv(x) - 0.2), 2))


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
