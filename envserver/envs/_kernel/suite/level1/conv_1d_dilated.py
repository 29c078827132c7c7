"""A dilated convolution of a sequence."""

import torch
from torch import nn

BATCH = 16
INNER = 128
OUTER = 128
LENGTH = 8192

CPU = dict(BATCH=4, INNER=32, OUTER=64, LENGTH=2048)
GPU = dict(BATCH=16, INNER=128, OUTER=128, LENGTH=8192)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.Conv1d(inner, outer, 5, dilation=3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def get_inputs():
    return [torch.randn(BATCH, INNER, LENGTH)]


def get_init_inputs():
    return [INNER, OUTER]
