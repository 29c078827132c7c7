"""Rotary embedding of neighbouring pairs at places that are given."""

import torch
from torch import nn

TOKENS = 16384
HEADS = 16
WIDTH = 96
LONGEST = 8192

CPU = dict(TOKENS=1024, HEADS=8, WIDTH=64, LONGEST=1024)
GPU = dict(TOKENS=16384, HEADS=16, WIDTH=96, LONGEST=8192)


class Model(nn.Module):
    def __init__(self, longest: int, width: int):
        super().__init__()
        speed = 10000.0 ** (-torch.arange(0, width, 2) / width)
        angle = torch.arange(longest)[:, None] * speed
        self.register_buffer("cos", torch.cos(angle))
        self.register_buffer("sin", torch.sin(angle))

    def forward(self, x: torch.Tensor, place: torch.Tensor) -> torch.Tensor:
        cos, sin = self.cos[place][:, None], self.sin[place][:, None]
        a, b = x[..., 0::2], x[..., 1::2]
        return torch.stack([a * cos - b * sin, a * sin + b * cos], dim=-1).flatten(-2)


def get_inputs():
    return [torch.randn(TOKENS, HEADS, WIDTH), torch.randint(LONGEST, (TOKENS,))]


def get_init_inputs():
    return [LONGEST, WIDTH]
