"""Softplus with a sharpness of its own."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 4096
COLUMNS = 6144
BETA = 2.0

CPU = dict(ROWS=1024, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=6144)


class Model(nn.Module):
    def __init__(self, beta: float):
        super().__init__()
        self.beta = beta

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.softplus(x, beta=self.beta)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return [BETA]
