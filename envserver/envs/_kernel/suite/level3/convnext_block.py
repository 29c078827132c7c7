"""A wide convolution of each channel, a norm of each pixel, two linear layers, the input added."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 128
SIZE = 104

CPU = dict(BATCH=4, CHANNELS=48, SIZE=32)
GPU = dict(BATCH=16, CHANNELS=128, SIZE=104)


class Model(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.each = nn.Conv2d(channels, channels, 7, padding=3, groups=channels)
        self.norm = nn.LayerNorm(channels)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        self.widen = nn.Linear(channels, 4 * channels)
        self.narrow = nn.Linear(4 * channels, channels)
        self.scale = nn.Parameter(torch.randn(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(self.each(x).permute(0, 2, 3, 1))
        y = self.scale * self.narrow(functional.gelu(self.widen(y)))
        return x + y.permute(0, 3, 1, 2)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS]
