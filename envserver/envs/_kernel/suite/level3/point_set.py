"""A network for sets of points: each through two layers, the largest of all, two layers more."""

import torch
from torch import nn

BATCH = 64
POINTS = 2048
WIDTH = 256
CLASSES = 64

CPU = dict(BATCH=16, POINTS=256, WIDTH=128, CLASSES=40)
GPU = dict(BATCH=64, POINTS=2048, WIDTH=256, CLASSES=64)


class Model(nn.Module):
    def __init__(self, width: int, classes: int):
        super().__init__()
        self.each = nn.Sequential(nn.Linear(3, 64), nn.ReLU(), nn.Linear(64, width), nn.ReLU())
        self.whole = nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, classes))

    def forward(self, points: torch.Tensor) -> torch.Tensor:
        middle = points.mean(dim=1, keepdim=True)
        return 8.0 * self.whole(torch.amax(self.each(points - middle), dim=1))


def get_inputs():
    return [torch.randn(BATCH, POINTS, 3)]


def get_init_inputs():
    return [WIDTH, CLASSES]
