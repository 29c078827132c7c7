"""The largest number of windows of a volume."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 8
CHANNELS = 32
SIZE = 56

CPU = dict(BATCH=2, CHANNELS=16, SIZE=32)
GPU = dict(BATCH=8, CHANNELS=32, SIZE=56)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool3d(x, 2)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE, SIZE)]


def get_init_inputs():
    return []
