"""Integers mixed by shifts, exclusive ors and products, and their bucket."""

import torch
from torch import nn

COUNT = 8388608
BUCKETS = 1021

CPU = dict(COUNT=524288, BUCKETS=1021)
GPU = dict(COUNT=8388608, BUCKETS=1021)


class Model(nn.Module):
    def __init__(self, buckets: int):
        super().__init__()
        self.buckets = buckets

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        y = x ^ (x >> 15)
        y = (y * 0x2C1B3C6D) & 0x7FFFFFFF
        y = y ^ (y >> 12)
        y = (y * 0x297A2D39) & 0x7FFFFFFF
        y = y ^ (y >> 15)
        return y, y % self.buckets


def get_inputs():
    return [torch.randint(1 << 31, (COUNT,))]


def get_init_inputs():
    return [BUCKETS]
