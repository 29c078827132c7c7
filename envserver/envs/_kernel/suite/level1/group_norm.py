"""Group norm of an image."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 64
HEIGHT = 160
WIDTH = 128
GROUPS = 8

CPU = dict(BATCH=8, CHANNELS=32, HEIGHT=64, WIDTH=64)
GPU = dict(BATCH=16, CHANNELS=64, HEIGHT=160, WIDTH=128)


class Model(nn.Module):
    def __init__(self, groups: int, channels: int):
        super().__init__()
        self.groups = groups
        self.weight = nn.Parameter(0.5 + torch.rand(channels))
        self.bias = nn.Parameter(torch.randn(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.group_norm(x, self.groups, self.weight, self.bias, 1e-5)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)]


def get_init_inputs():
    return [GROUPS, CHANNELS]
