"""Rotary embedding: pairs of numbers, half a vector apart, turned by an angle that grows with the place."""

import torch
from torch import nn

BATCH = 8
HEADS = 16
LENGTH = 2048
WIDTH = 96

CPU = dict(BATCH=2, HEADS=8, LENGTH=512, WIDTH=64)
GPU = dict(BATCH=8, HEADS=16, LENGTH=2048, WIDTH=96)


class Model(nn.Module):
    def __init__(self, length: int, width: int):
        super().__init__()
        speed = 10000.0 ** (-torch.arange(0, width, 2) / width)
        angle = torch.arange(length)[:, None] * speed
        self.register_buffer("cos", torch.cos(angle))
        self.register_buffer("sin", torch.sin(angle))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        a, b = x.chunk(2, dim=-1)
        return torch.cat([a * self.cos - b * self.sin, b * self.cos + a * self.sin], dim=-1)


def get_inputs():
    return [torch.randn(BATCH, HEADS, LENGTH, WIDTH)]


def get_init_inputs():
    return [LENGTH, WIDTH]
