"""Two matrices that share a short side."""

import torch
from torch import nn

ROWS = 6144
INNER = 24
COLUMNS = 6144

CPU = dict(ROWS=1024, INNER=24, COLUMNS=1024)
GPU = dict(ROWS=6144, INNER=24, COLUMNS=6144)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b


def get_inputs():
    return [torch.randn(ROWS, INNER), torch.randn(INNER, COLUMNS)]


def get_init_inputs():
    return []
