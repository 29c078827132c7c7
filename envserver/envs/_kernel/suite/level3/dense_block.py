"""Layers that each see all that came before them, side by side."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 64
GROWTH = 32
SIZE = 80

CPU = dict(BATCH=4, CHANNELS=16, GROWTH=8, SIZE=40)
GPU = dict(BATCH=16, CHANNELS=64, GROWTH=32, SIZE=80)


class Model(nn.Module):
    def __init__(self, channels: int, growth: int):
        super().__init__()
        self.layers = nn.ModuleList(nn.Conv2d(channels + number * growth, growth, 3, padding=1) for number in range(4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = torch.cat([x, layer(functional.leaky_relu(x, 0.1))], dim=1)
        return x


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS, GROWTH]
