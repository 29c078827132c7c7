"""A transposed convolution, softmax over the channels, a scale a channel."""

import torch
from torch import nn

BATCH = 16
INNER = 64
OUTER = 32
SIZE = 104

CPU = dict(BATCH=2, INNER=16, OUTER=32, SIZE=40)
GPU = dict(BATCH=16, INNER=64, OUTER=32, SIZE=104)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.conv = nn.ConvTranspose2d(inner, outer, 4, stride=2, padding=1)
        self.scale = nn.Parameter(0.5 + torch.rand(outer, 1, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.softmax(self.conv(x), dim=1) * self.scale


def get_inputs():
    return [torch.randn(BATCH, INNER, SIZE, SIZE)]


def get_init_inputs():
    return [INNER, OUTER]
