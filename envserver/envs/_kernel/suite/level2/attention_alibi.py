"""Causal attention whose scores fall with the distance, faster in some heads."""

import torch
from torch import nn

BATCH = 8
HEADS = 16
LENGTH = 1024
WIDTH = 64

CPU = dict(BATCH=2, HEADS=4, LENGTH=256, WIDTH=32)
GPU = dict(BATCH=8, HEADS=16, LENGTH=1024, WIDTH=64)


class Model(nn.Module):
    def forward(self, q: torch.Tensor, k: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        heads, length = q.shape[1], q.shape[2]
        places = torch.arange(length, device=q.device)
        back = (places[:, None] - places[None, :]).float()
        slope = 2.0 ** (-8.0 * torch.arange(1, heads + 1, device=q.device) / heads)
        scores = q @ k.transpose(-2, -1) / q.shape[-1] ** 0.5 - slope[:, None, None] * back
        return torch.softmax(scores.masked_fill(back < 0, float("-inf")), dim=-1) @ v


def get_inputs():
    return [
        torch.randn(BATCH, HEADS, LENGTH, WIDTH),
        torch.randn(BATCH, HEADS, LENGTH, WIDTH),
        torch.randn(BATCH, HEADS, LENGTH, WIDTH),
    ]


def get_init_inputs():
    return []
