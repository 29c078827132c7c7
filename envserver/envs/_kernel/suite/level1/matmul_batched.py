"""Products of pairs of small matrices."""

import torch
from torch import nn

BATCH = 1024
ROWS = 128
INNER = 128
COLUMNS = 128

CPU = dict(BATCH=64, ROWS=64, INNER=96, COLUMNS=64)
GPU = dict(BATCH=1024, ROWS=128, INNER=128, COLUMNS=128)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.bmm(a, b)


def get_inputs():
    return [torch.randn(BATCH, ROWS, INNER), torch.randn(BATCH, INNER, COLUMNS) / INNER**0.5]


def get_init_inputs():
    return []
