"""A linear layer whose weights are eight-bit numbers with a scale for each output."""

import torch
from torch import nn

ROWS = 8192
INNER = 2048
OUTER = 2048

CPU = dict(ROWS=256, INNER=512, OUTER=512)
GPU = dict(ROWS=8192, INNER=2048, OUTER=2048)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.register_buffer("weight", torch.randint(-127, 128, (outer, inner), dtype=torch.int8))
        self.register_buffer("scale", (0.5 + torch.rand(outer)) / (73.0 * inner**0.5))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ (self.weight.float() * self.scale[:, None]).T


def get_inputs():
    return [torch.randn(ROWS, INNER)]


def get_init_inputs():
    return [INNER, OUTER]
