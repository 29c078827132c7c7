"""Mish: each number times the tanh of its softplus."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 4096
COLUMNS = 6144

CPU = dict(ROWS=1024, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=6144)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.mish(x)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
