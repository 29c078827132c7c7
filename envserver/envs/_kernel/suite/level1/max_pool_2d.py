"""The largest number of overlapping windows of an image."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 32
CHANNELS = 64
HEIGHT = 128
WIDTH = 128

CPU = dict(BATCH=8, CHANNELS=32, HEIGHT=64, WIDTH=64)
GPU = dict(BATCH=32, CHANNELS=64, HEIGHT=128, WIDTH=128)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.max_pool2d(x, 3, stride=2, padding=1)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)]


def get_init_inputs():
    return []
