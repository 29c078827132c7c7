"""The logarithm of the gamma function of positive numbers."""

import torch
from torch import nn

ROWS = 4096
COLUMNS = 6144

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=6144)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.lgamma(x)


def get_inputs():
    return [0.1 + 8.0 * torch.rand(ROWS, COLUMNS)]


def get_init_inputs():
    return []
