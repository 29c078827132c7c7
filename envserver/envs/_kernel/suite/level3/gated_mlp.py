"""A gated feed-forward block with a norm before and the input added after."""

import torch
from torch import nn
from torch.nn import functional

TOKENS = 8192
WIDTH = 1024
HIDDEN = 2816

CPU = dict(TOKENS=256, WIDTH=256, HIDDEN=704)
GPU = dict(TOKENS=8192, WIDTH=1024, HIDDEN=2816)


class Model(nn.Module):
    def __init__(self, width: int, hidden: int):
        super().__init__()
        self.norm = nn.LayerNorm(width)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.norm(x)
        return x + 4.0 * self.down(functional.silu(self.gate(y)) * self.up(y))


def get_inputs():
    return [torch.randn(TOKENS, WIDTH)]


def get_init_inputs():
    return [WIDTH, HIDDEN]
