"""Two tensors mixed, each pair of numbers by a weight of its own."""

import torch
from torch import nn

ROWS = 4096
COLUMNS = 3072

CPU = dict(ROWS=512, COLUMNS=640)
GPU = dict(ROWS=4096, COLUMNS=3072)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return torch.lerp(a, b, weight)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS), torch.randn(ROWS, COLUMNS), torch.rand(ROWS, COLUMNS)]


def get_init_inputs():
    return []
