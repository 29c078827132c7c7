"""A few queries look at a long sequence; the answer is added to them."""

import torch
from torch import nn

BATCH = 16
QUERIES = 128
LENGTH = 2048
WIDTH = 512
HEADS = 8

CPU = dict(BATCH=4, QUERIES=32, LENGTH=256, WIDTH=128, HEADS=4)
GPU = dict(BATCH=16, QUERIES=128, LENGTH=2048, WIDTH=512, HEADS=8)


class Model(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.q = nn.Linear(width, width)
        self.kv = nn.Linear(width, 2 * width)
        self.out = nn.Linear(width, width)

    def split(self, x: torch.Tensor) -> torch.Tensor:
        return x.view(x.shape[0], x.shape[1], self.heads, -1).transpose(1, 2)

    def forward(self, queries: torch.Tensor, memory: torch.Tensor) -> torch.Tensor:
        q = self.split(self.q(queries))
        k, v = (self.split(one) for one in self.kv(memory).chunk(2, dim=2))
        seen = torch.softmax(4.0 * q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1) @ v
        return queries + 4.0 * self.out(seen.transpose(1, 2).reshape(queries.shape))


def get_inputs():
    return [torch.randn(BATCH, QUERIES, WIDTH), torch.randn(BATCH, LENGTH, WIDTH)]


def get_init_inputs():
    return [WIDTH, HEADS]
