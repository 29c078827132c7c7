"""Images enlarged by linear interpolation."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 32
HEIGHT = 120
WIDTH = 120

CPU = dict(BATCH=4, CHANNELS=16, HEIGHT=60, WIDTH=60)
GPU = dict(BATCH=16, CHANNELS=32, HEIGHT=120, WIDTH=120)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(x, scale_factor=2.0, mode="bilinear", align_corners=False)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, HEIGHT, WIDTH)]


def get_init_inputs():
    return []
