"""Local response norm: each channel divided by what its neighbours hold."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 64
HEIGHT = 160
WIDTH = 128
SIZE = 5

CPU = dict(BATCH=4, CHANNELS=32, HEIGHT=48, WIDTH=48)
GPU = dict(BATCH=16, CHANNELS=64, HEIGHT=160, WIDTH=128)


class Model(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.local_response_norm(x, self.size, alpha=0.5, beta=0.75, k=1.0)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)]


def get_init_inputs():
    return [SIZE]
