"""CELU: a line above zero, a bounded exponential below."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 4096
COLUMNS = 6144
ALPHA = 1.3

CPU = dict(ROWS=1024, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=6144)


class Model(nn.Module):
    def __init__(self, alpha: float):
        super().__init__()
        self.alpha = alpha

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.celu(x, alpha=self.alpha)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return [ALPHA]
