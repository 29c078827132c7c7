"""Two convolutions with batch norm, the input added, ReLU."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 128
SIZE = 96

CPU = dict(BATCH=4, CHANNELS=32, SIZE=40)
GPU = dict(BATCH=16, CHANNELS=128, SIZE=96)


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
    def __init__(self, channels: int):
        super().__init__()
        self.first = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.first_norm = Norm(channels)
        self.second = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.second_norm = Norm(channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.relu(self.first_norm(self.first(x)))
        return torch.relu(self.second_norm(self.second(y)) + x)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS]
