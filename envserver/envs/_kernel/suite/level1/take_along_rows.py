"""From each row, the numbers at places of its own."""

import torch
from torch import nn

ROWS = 4096
COLUMNS = 2048
TAKEN = 2048

CPU = dict(ROWS=512, COLUMNS=1024, TAKEN=512)
GPU = dict(ROWS=4096, COLUMNS=2048, TAKEN=2048)


class Model(nn.Module):
    def forward(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return torch.gather(x, 1, index)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS), torch.randint(COLUMNS, (ROWS, TAKEN))]


def get_init_inputs():
    return []
