"""Self-attention and a feed-forward network, a norm before and the input added after each."""

import torch
from torch import nn

BATCH = 16
LENGTH = 512
WIDTH = 768
HEADS = 12

CPU = dict(BATCH=2, LENGTH=128, WIDTH=192, HEADS=6)
GPU = dict(BATCH=16, LENGTH=512, WIDTH=768, HEADS=12)


class Model(nn.Module):
    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        nn.init.uniform_(self.first.weight, 0.5, 1.5)
        nn.init.uniform_(self.second.weight, 0.5, 1.5)
        self.enter = nn.Linear(width, 3 * width)
        self.leave = nn.Linear(width, width)
        self.feed = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        packed = self.enter(self.first(x)).view(batch, length, 3, self.heads, -1)
        q, k, v = packed.permute(2, 0, 3, 1, 4)
        seen = torch.softmax(2.0 * q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1) @ v
        x = x + self.leave(seen.transpose(1, 2).reshape(batch, length, width))
        return x + self.feed(self.second(x))


def get_inputs():
    return [torch.randn(BATCH, LENGTH, WIDTH)]


def get_init_inputs():
    return [WIDTH, HEADS]
