"""The distance of each point of one set from each of another."""

import torch
from torch import nn

LEFT = 6144
RIGHT = 6144
WIDTH = 64

CPU = dict(LEFT=768, RIGHT=1024, WIDTH=64)
GPU = dict(LEFT=6144, RIGHT=6144, WIDTH=64)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.cdist(a, b)


def get_inputs():
    return [torch.randn(LEFT, WIDTH), torch.randn(RIGHT, WIDTH)]


def get_init_inputs():
    return []
