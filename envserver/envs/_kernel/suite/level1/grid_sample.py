"""Images seen through a field of places, interpolated."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 32
SIZE = 160

CPU = dict(BATCH=4, CHANNELS=16, SIZE=64)
GPU = dict(BATCH=16, CHANNELS=32, SIZE=160)


class Model(nn.Module):
    def forward(self, x: torch.Tensor, grid: torch.Tensor) -> torch.Tensor:
        return functional.grid_sample(x, grid, align_corners=True, padding_mode="border")


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE), 2.2 * torch.rand(BATCH, SIZE, SIZE, 2) - 1.1]


def get_init_inputs():
    return []
