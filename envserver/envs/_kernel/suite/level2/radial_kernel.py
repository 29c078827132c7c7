"""Weighted sums of Gaussian bumps around centres."""

import torch
from torch import nn

POINTS = 131072
CENTRES = 256
WIDTH = 64
OUTER = 64

CPU = dict(POINTS=1024, CENTRES=512, WIDTH=16, OUTER=16)
GPU = dict(POINTS=131072, CENTRES=256, WIDTH=64, OUTER=64)


class Model(nn.Module):
    def __init__(self, centres: int, width: int, outer: int):
        super().__init__()
        self.centres = nn.Parameter(torch.randn(centres, width))
        self.weight = nn.Parameter(torch.randn(centres, outer))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        squares = (x * x).sum(dim=1)[:, None] + (self.centres * self.centres).sum(dim=1) - 2.0 * x @ self.centres.T
        return torch.exp(-squares / x.shape[1]) @ self.weight


def get_inputs():
    return [torch.randn(POINTS, WIDTH)]


def get_init_inputs():
    return [CENTRES, WIDTH, OUTER]
