"""A classifier of four layers with GELU between them, log-softmax at its end."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 16384
INNER = 784
WIDTH = 1024
CLASSES = 100

CPU = dict(ROWS=512, INNER=392, WIDTH=256, CLASSES=100)
GPU = dict(ROWS=16384, INNER=784, WIDTH=1024, CLASSES=100)


class Model(nn.Module):
    def __init__(self, inner: int, width: int, classes: int):
        super().__init__()
        self.layers = nn.ModuleList([nn.Linear(inner, width), nn.Linear(width, width), nn.Linear(width, width)])
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for layer in self.layers:
            x = 2.0 * functional.gelu(layer(x))
        return torch.log_softmax(self.head(x), dim=1)


def get_inputs():
    return [torch.randn(ROWS, INNER)]


def get_init_inputs():
    return [INNER, WIDTH, CLASSES]
