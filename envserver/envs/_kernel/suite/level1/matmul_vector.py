"""A matrix times a vector."""

import torch
from torch import nn

ROWS = 8192
COLUMNS = 7168

CPU = dict(ROWS=1024, COLUMNS=1000)
GPU = dict(ROWS=8192, COLUMNS=7168)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b


def get_inputs():
    return [torch.randn(ROWS, COLUMNS), torch.randn(COLUMNS) / COLUMNS**0.5]


def get_init_inputs():
    return []
