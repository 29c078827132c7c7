"""Dilated causal convolutions with gates, each adding to the stream and to a sum that is read."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 64
LENGTH = 8192
CLASSES = 64

CPU = dict(BATCH=4, CHANNELS=24, LENGTH=1024, CLASSES=48)
GPU = dict(BATCH=16, CHANNELS=64, LENGTH=8192, CLASSES=64)


class Model(nn.Module):
    def __init__(self, channels: int, classes: int):
        super().__init__()
        self.gates = nn.ModuleList(nn.Conv1d(channels, 2 * channels, 2, dilation=2**depth) for depth in range(4))
        self.mixes = nn.ModuleList(nn.Conv1d(channels, channels, 1) for _ in range(4))
        self.head = nn.Conv1d(channels, classes, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        total = torch.zeros_like(x)
        for depth, (gate, mix) in enumerate(zip(self.gates, self.mixes, strict=True)):
            value, valve = gate(functional.pad(x, (2**depth, 0))).chunk(2, dim=1)
            y = mix(torch.tanh(value) * torch.sigmoid(valve))
            total, x = total + y, x + y
        return self.head(functional.leaky_relu(total, 0.2))


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, LENGTH)]


def get_init_inputs():
    return [CHANNELS, CLASSES]
