"""A block that widens, convolves each channel by itself, weighs channels and narrows again."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 64
HIDDEN = 256
SIZE = 112

CPU = dict(BATCH=4, CHANNELS=24, HIDDEN=96, SIZE=40)
GPU = dict(BATCH=16, CHANNELS=64, HIDDEN=256, SIZE=112)


class Norm(nn.Module):
    """Batch norm by statistics that are known."""

    def __init__(self, channels: int):
        super().__init__()
        self.register_buffer("mean", 0.1 * torch.randn(channels))
        self.register_buffer("variance", 0.2 + torch.rand(channels))
        self.weight = nn.Parameter(0.5 + torch.rand(channels))
        self.bias = nn.Parameter(0.5 * torch.randn(channels))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.batch_norm(x, self.mean, self.variance, self.weight, self.bias)


class Model(nn.Module):
    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.widen = nn.Conv2d(channels, hidden, 1, bias=False)
        self.widen_norm = Norm(hidden)
        self.each = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden, bias=False)
        self.each_norm = Norm(hidden)
        self.narrow = nn.Conv2d(hidden, channels, 1, bias=False)
        self.narrow_norm = Norm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.relu6(self.widen_norm(self.widen(x)))
        y = functional.relu6(self.each_norm(self.each(y)))
        return x + self.narrow_norm(self.narrow(y))


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS, HIDDEN]
