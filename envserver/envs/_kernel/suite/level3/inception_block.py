"""Four branches of different reach over one image, side by side."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 128
WIDTH = 48
SIZE = 80

CPU = dict(BATCH=4, CHANNELS=32, WIDTH=16, SIZE=40)
GPU = dict(BATCH=16, CHANNELS=128, WIDTH=48, SIZE=80)


class Model(nn.Module):
    def __init__(self, channels: int, width: int):
        super().__init__()
        self.point = nn.Conv2d(channels, width, 1)
        self.near = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 3, padding=1))
        self.far = nn.Sequential(nn.Conv2d(channels, width, 1), nn.ReLU(), nn.Conv2d(width, width, 5, padding=2))
        self.pooled = nn.Conv2d(channels, width, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = functional.max_pool2d(x, 3, stride=1, padding=1)
        branches = [self.point(x), self.near(x), self.far(x), self.pooled(pooled)]
        return functional.elu(torch.cat(branches, dim=1))


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS, WIDTH]
