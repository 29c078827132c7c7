"""How much each box of one set overlaps each of another: intersection over union."""

import torch
from torch import nn

LEFT = 6144
RIGHT = 6144

CPU = dict(LEFT=640, RIGHT=1024)
GPU = dict(LEFT=6144, RIGHT=6144)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        low = torch.maximum(a[:, None, :2], b[None, :, :2])
        high = torch.minimum(a[:, None, :2] + a[:, None, 2:], b[None, :, :2] + b[None, :, 2:])
        shared = torch.clamp(high - low, min=0.0).prod(dim=2)
        areas = a[:, 2:].prod(dim=1)[:, None] + b[:, 2:].prod(dim=1)[None, :]
        return shared / (areas - shared)


def get_inputs():
    return [
        torch.cat([torch.rand(LEFT, 2), 1.0 + torch.rand(LEFT, 2)], dim=1),
        torch.cat([torch.rand(RIGHT, 2), 1.0 + torch.rand(RIGHT, 2)], dim=1),
    ]


def get_init_inputs():
    return []
