"""The Euclidean length of each row."""

import torch
from torch import nn

ROWS = 8192
COLUMNS = 6144

CPU = dict(ROWS=1024, COLUMNS=1024)
GPU = dict(ROWS=8192, COLUMNS=6144)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.linalg.vector_norm(x, dim=1)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
