"""An image averaged down to a size that does not divide its own."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 32
CHANNELS = 128
HEIGHT = 100
WIDTH = 100
SIZE = 7

CPU = dict(BATCH=8, CHANNELS=32, HEIGHT=60, WIDTH=60, SIZE=7)
GPU = dict(BATCH=32, CHANNELS=128, HEIGHT=100, WIDTH=100, SIZE=7)


class Model(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.adaptive_avg_pool2d(x, self.size)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)]


def get_init_inputs():
    return [SIZE]
