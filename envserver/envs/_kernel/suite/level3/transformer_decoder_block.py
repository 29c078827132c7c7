"""Causal attention with rotary places and shared keys, a gated network, root-mean-square norms."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 8
LENGTH = 1024
WIDTH = 1024
HEADS = 16
SHARED = 4
HIDDEN = 2816

CPU = dict(BATCH=2, LENGTH=128, WIDTH=192, HEADS=6, SHARED=2, HIDDEN=512)
GPU = dict(BATCH=8, LENGTH=1024, WIDTH=1024, HEADS=16, SHARED=4, HIDDEN=2816)


class Norm(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.weight = nn.Parameter(0.5 + torch.rand(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * torch.rsqrt(torch.mean(x * x, dim=-1, keepdim=True) + 1e-6) * self.weight


class Model(nn.Module):
    def __init__(self, length: int, width: int, heads: int, shared: int, hidden: int):
        super().__init__()
        self.heads, self.shared, self.size = heads, shared, width // heads
        self.first, self.second = Norm(width), Norm(width)
        self.q = nn.Linear(width, width, bias=False)
        self.k = nn.Linear(width, shared * self.size, bias=False)
        self.v = nn.Linear(width, shared * self.size, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate = nn.Linear(width, hidden, bias=False)
        self.up = nn.Linear(width, hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        speed = 10000.0 ** (-torch.arange(0, self.size, 2) / self.size)
        angle = torch.arange(length)[:, None] * speed
        self.register_buffer("cos", torch.cos(angle))
        self.register_buffer("sin", torch.sin(angle))

    def turned(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], dim=-1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, length, width = x.shape
        y = self.first(x)
        q = self.turned(self.q(y).view(batch, length, self.heads, self.size).transpose(1, 2))
        k = self.turned(self.k(y).view(batch, length, self.shared, self.size).transpose(1, 2))
        v = self.v(y).view(batch, length, self.shared, self.size).transpose(1, 2)
        k, v = (one.repeat_interleave(self.heads // self.shared, dim=1) for one in (k, v))
        later = torch.ones(length, length, dtype=torch.bool, device=x.device).triu(1)
        scores = 2.0 * q @ k.transpose(-2, -1) / self.size**0.5
        seen = torch.softmax(scores.masked_fill(later, float("-inf")), dim=-1) @ v
        x = x + self.out(seen.transpose(1, 2).reshape(batch, length, width))
        y = self.second(x)
        return x + 4.0 * self.down(functional.silu(self.gate(y)) * self.up(y))


def get_inputs():
    return [torch.randn(BATCH, LENGTH, WIDTH)]


def get_init_inputs():
    return [LENGTH, WIDTH, HEADS, SHARED, HIDDEN]
