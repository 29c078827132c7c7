"""The five-point Laplacian of a field, with its edges left out."""

import torch
from torch import nn

BATCH = 16
SIZE = 1024

CPU = dict(BATCH=4, SIZE=448)
GPU = dict(BATCH=16, SIZE=1024)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        centre = x[:, 1:-1, 1:-1]
        return x[:, :-2, 1:-1] + x[:, 2:, 1:-1] + x[:, 1:-1, :-2] + x[:, 1:-1, 2:] - 4.0 * centre


def get_inputs():
    return [torch.randn(BATCH, SIZE, SIZE)]


def get_init_inputs():
    return []
