"""A convolution of each channel by itself, then one that mixes channels, ReLU6 after both."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
INNER = 128
OUTER = 128
SIZE = 104

CPU = dict(BATCH=4, INNER=32, OUTER=64, SIZE=48)
GPU = dict(BATCH=16, INNER=128, OUTER=128, SIZE=104)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.each = nn.Conv2d(inner, inner, 3, padding=1, groups=inner)
        self.mix = nn.Conv2d(inner, outer, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.relu6(self.mix(functional.relu6(self.each(x))))


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
