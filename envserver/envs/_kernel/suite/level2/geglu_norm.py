"""One half of each row through GELU, times the other half, divided by the root mean square."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 4096
COLUMNS = 5120

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=5120)


class Model(nn.Module):
    def __init__(self, columns: int):
        super().__init__()
        self.norm_weight = nn.Parameter(0.5 + torch.rand(columns))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        gate, up = x.chunk(2, dim=1)
        y = functional.gelu(gate, approximate="tanh") * up
        return y * torch.rsqrt(torch.mean(y * y, dim=1, keepdim=True) + 1e-6) * self.norm_weight


def get_inputs():
    return [torch.randn(ROWS, 2 * COLUMNS)]


def get_init_inputs():
    return [COLUMNS]
