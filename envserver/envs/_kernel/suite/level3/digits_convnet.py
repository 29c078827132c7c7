"""A small network for images of digits: two convolutions with pooling, three linear layers."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 8192

CPU = dict(BATCH=128)
GPU = dict(BATCH=8192)


class Model(nn.Module):
    def __init__(self):
        super().__init__()
        self.first = nn.Conv2d(1, 6, 5, padding=2)
        self.second = nn.Conv2d(6, 16, 5)
        self.layers = nn.Sequential(nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = functional.avg_pool2d(torch.tanh(self.first(x)), 2)
        x = functional.avg_pool2d(torch.tanh(self.second(x)), 2)
        return 10.0 * self.layers(x.flatten(1))


def get_inputs():
    return [torch.randn(BATCH, 1, 28, 28)]


def get_init_inputs():
    return []
