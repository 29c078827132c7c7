"""A tensor of four dimensions, with a matrix along the second."""

import torch
from torch import nn

BATCH = 16
INNER = 256
OUTER = 256
HEIGHT = 64
WIDTH = 64

CPU = dict(BATCH=4, INNER=64, OUTER=96, HEIGHT=32, WIDTH=48)
GPU = dict(BATCH=16, INNER=256, OUTER=256, HEIGHT=64, WIDTH=64)


class Model(nn.Module):
    def forward(self, x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bihw,io->bohw", x, weight)


def get_inputs():
    return [torch.randn(BATCH, INNER, HEIGHT, WIDTH), torch.randn(INNER, OUTER) / INNER**0.5]


def get_init_inputs():
    return []
