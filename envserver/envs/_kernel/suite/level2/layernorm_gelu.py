"""Layer norm over the columns, then GELU."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 4096
COLUMNS = 6144

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=6144)


class Model(nn.Module):
    def __init__(self, columns: int):
        super().__init__()
        self.norm_weight = nn.Parameter(0.5 + torch.rand(columns))
        self.norm_bias = nn.Parameter(torch.randn(columns))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.layer_norm(x, self.norm_weight.shape, self.norm_weight, self.norm_bias)
        return functional.gelu(y, approximate="tanh")


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return [COLUMNS]
