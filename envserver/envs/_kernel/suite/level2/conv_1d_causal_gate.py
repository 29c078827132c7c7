"""A causal convolution of a sequence, and one half of its channels gated by the other."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
INNER = 128
OUTER = 128
LENGTH = 8192

CPU = dict(BATCH=4, INNER=32, OUTER=32, LENGTH=2048)
GPU = dict(BATCH=16, INNER=128, OUTER=128, LENGTH=8192)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.Conv1d(inner, 2 * outer, 4, dilation=2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.glu(self.conv(functional.pad(x, (6, 0))), dim=1)


def get_inputs():
    return [torch.randn(BATCH, INNER, LENGTH)]


def get_init_inputs():
    return [INNER, OUTER]
