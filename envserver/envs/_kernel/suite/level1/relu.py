"""The larger of each number and zero."""

import torch
from torch import nn

ROWS = 4096
COLUMNS = 6144

CPU = dict(ROWS=1024, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=6144)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(x)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
