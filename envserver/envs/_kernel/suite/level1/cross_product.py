"""The cross product of vectors in space."""

import torch
from torch import nn

COUNT = 6291456

CPU = dict(COUNT=131072)
GPU = dict(COUNT=6291456)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.linalg.cross(a, b)


def get_inputs():
    return [torch.randn(COUNT, 3), torch.randn(COUNT, 3)]


def get_init_inputs():
    return []
