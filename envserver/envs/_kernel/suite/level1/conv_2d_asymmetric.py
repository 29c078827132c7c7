"""A convolution with a wide and low kernel."""

import torch
from torch import nn

BATCH = 16
INNER = 64
OUTER = 64
HEIGHT = 128
WIDTH = 160

CPU = dict(BATCH=4, INNER=32, OUTER=32, HEIGHT=48, WIDTH=64)
GPU = dict(BATCH=16, INNER=64, OUTER=64, HEIGHT=128, WIDTH=160)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.Conv2d(inner, outer, (3, 7), padding=(1, 3), bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.conv(x)


def get_inputs():
    return [torch.randn(BATCH, INNER, HEIGHT, WIDTH)]


def get_init_inputs():
    return [INNER, OUTER]
