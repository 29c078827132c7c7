"""Channels spread out into pixels."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 128
SIZE = 96

CPU = dict(BATCH=4, CHANNELS=64, SIZE=56)
GPU = dict(BATCH=16, CHANNELS=128, SIZE=96)


class Model(nn.Module):
    def __init__(self, factor: int):
        super().__init__()
        self.factor = factor

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.pixel_shuffle(x, self.factor)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [4]
