"""A convolution of each channel by itself."""

import torch
from torch import nn

BATCH = 16
CHANNELS = 128
SIZE = 112

CPU = dict(BATCH=4, CHANNELS=64, SIZE=56)
GPU = dict(BATCH=16, CHANNELS=128, SIZE=112)


class Model(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 5, padding=2, groups=channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS]
