"""All windows of an image, a column each."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 4
CHANNELS = 32
SIZE = 112

CPU = dict(BATCH=4, CHANNELS=8, SIZE=56)
GPU = dict(BATCH=4, CHANNELS=32, SIZE=112)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.unfold(x, 5, padding=2)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return []
