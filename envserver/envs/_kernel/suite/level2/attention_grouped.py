"""Attention in which several heads of queries share one head of keys and values."""

import torch
from torch import nn

BATCH = 8
HEADS = 16
SHARED = 4
LENGTH = 1024
WIDTH = 64

CPU = dict(BATCH=2, HEADS=8, SHARED=2, LENGTH=192, WIDTH=32)
GPU = dict(BATCH=8, HEADS=16, SHARED=4, LENGTH=1024, WIDTH=64)


class Model(nn.Module):
    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        times = q.shape[1] // k.shape[1]
        k, v = (one.repeat_interleave(times, dim=1) for one in (k, v))
        return torch.softmax(q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5, dim=-1) @ v


def get_inputs():
    return [
        torch.randn(BATCH, HEADS, LENGTH, WIDTH),
        torch.randn(BATCH, SHARED, LENGTH, WIDTH),
        torch.randn(BATCH, SHARED, LENGTH, WIDTH),
    ]


def get_init_inputs():
    return []
