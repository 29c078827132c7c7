"""Two layers over a graph of edges: what neighbours send is added up and divided by the degrees."""

import torch
from torch import nn
from torch.nn import functional

NODES = 65536
EDGES = 524288
INNER = 128
HIDDEN = 128
OUTER = 64

CPU = dict(NODES=2048, EDGES=16384, INNER=64, HIDDEN=64, OUTER=32)
GPU = dict(NODES=65536, EDGES=524288, INNER=128, HIDDEN=128, OUTER=64)


class Model(nn.Module):
    def __init__(self, inner: int, hidden: int, outer: int):
        super().__init__()
        self.first = nn.Linear(inner, hidden)
        self.second = nn.Linear(hidden, outer)

    def forward(self, x: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        ones = torch.ones(x.shape[0], device=x.device)
        degree = ones.index_add(0, target, torch.ones_like(target, dtype=x.dtype))
        scale = torch.rsqrt(degree)
        weight = (scale[source] * scale[target])[:, None]
        for layer in (self.first, self.second):
            y = layer(x)
            y = (y / degree[:, None]).index_add(0, target, weight * y[source])
            x = functional.elu(2.0 * y)
        return x


def get_inputs():
    return [torch.randn(NODES, INNER), torch.randint(NODES, (EDGES,)), torch.randint(NODES, (EDGES,))]


def get_init_inputs():
    return [INNER, HIDDEN, OUTER]
