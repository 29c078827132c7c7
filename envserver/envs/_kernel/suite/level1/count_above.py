"""How many numbers of each row are above a threshold."""

import torch
from torch import nn

ROWS = 8192
COLUMNS = 6144
THRESHOLD = 0.7

CPU = dict(ROWS=1024, COLUMNS=1024)
GPU = dict(ROWS=8192, COLUMNS=6144)


class Model(nn.Module):
    def __init__(self, threshold: float):
        super().__init__()
        self.threshold = threshold

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.count_nonzero(x > self.threshold, dim=1)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return [THRESHOLD]
