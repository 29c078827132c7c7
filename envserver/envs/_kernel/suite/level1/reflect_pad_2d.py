"""Images with their edges mirrored outside."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 32
SIZE = 224
EDGE = 6

CPU = dict(BATCH=8, CHANNELS=16, SIZE=88, EDGE=6)
GPU = dict(BATCH=16, CHANNELS=32, SIZE=224, EDGE=6)


class Model(nn.Module):
    def __init__(self, edge: int):
        super().__init__()
        self.edge = edge

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.pad(x, (self.edge,) * 4, mode="reflect")


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [EDGE]
