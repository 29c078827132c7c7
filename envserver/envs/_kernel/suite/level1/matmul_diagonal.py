"""A diagonal matrix times a matrix."""

import torch
from torch import nn

ROWS = 4096
COLUMNS = 6144

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=6144)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.diag(a) @ b


def get_inputs():
    return [torch.randn(ROWS), torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
