"""Length and angle of points in the plane."""

import torch
from torch import nn

ROWS = 4096
COLUMNS = 3072

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=3072)


class Model(nn.Module):
    def forward(self, x: torch.Tensor, y: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        return torch.hypot(x, y), torch.atan2(y, x)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS), torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
