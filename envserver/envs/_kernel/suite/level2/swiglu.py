"""One half of each row through SiLU, times the other half."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 4096
COLUMNS = 5120

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=5120)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = x.chunk(2, dim=1)
        return functional.silu(gate) * up


def get_inputs():
    return [torch.randn(ROWS, 2 * COLUMNS)]


def get_init_inputs():
    return []
