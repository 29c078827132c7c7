"""The mean of overlapping windows of a sequence."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 32
CHANNELS = 128
LENGTH = 8192

CPU = dict(BATCH=8, CHANNELS=64, LENGTH=2048)
GPU = dict(BATCH=32, CHANNELS=128, LENGTH=8192)


class Model(nn.Module):
    def __init__(self, kernel: int, stride: int):
        super().__init__()
        self.kernel, self.stride = kernel, stride

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool1d(x, self.kernel, self.stride)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, LENGTH)]


def get_init_inputs():
    return [7, 2]
