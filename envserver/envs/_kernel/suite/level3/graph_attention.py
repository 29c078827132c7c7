"""A layer over a graph of edges in which each node weighs its neighbours by a softmax."""

import torch
from torch import nn
from torch.nn import functional

NODES = 32768
EDGES = 524288
INNER = 128
OUTER = 128

CPU = dict(NODES=2048, EDGES=16384, INNER=64, OUTER=64)
GPU = dict(NODES=32768, EDGES=524288, INNER=128, OUTER=128)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int):
        super().__init__()
        self.linear = nn.Linear(inner, outer)
        self.left = nn.Parameter(torch.randn(outer) / outer**0.5)
        self.right = nn.Parameter(torch.randn(outer) / outer**0.5)

    def forward(self, x: torch.Tensor, source: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        y = 2.0 * self.linear(x)
        score = functional.leaky_relu((y @ self.left)[source] + (y @ self.right)[target], 0.2)
        weight = torch.exp(torch.clamp(score, -10.0, 10.0))
        total = torch.ones(x.shape[0], device=x.device).index_add(0, target, weight)
        seen = y.index_add(0, target, weight[:, None] * y[source])
        return functional.elu(seen / total[:, None])


def get_inputs():
    return [torch.randn(NODES, INNER), torch.randint(NODES, (EDGES,)), torch.randint(NODES, (EDGES,))]


def get_init_inputs():
    return [INNER, OUTER]
