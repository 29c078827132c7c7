"""An MLP-mixer's block: one network along the patches, one along the channels."""

import torch
from torch import nn

BATCH = 64
PATCHES = 196
WIDTH = 512

CPU = dict(BATCH=8, PATCHES=64, WIDTH=128)
GPU = dict(BATCH=64, PATCHES=196, WIDTH=512)


class Model(nn.Module):
    def __init__(self, patches: int, width: int):
        super().__init__()
        self.first, self.second = nn.LayerNorm(width), nn.LayerNorm(width)
        nn.init.uniform_(self.first.weight, 0.5, 1.5)
        nn.init.uniform_(self.second.weight, 0.5, 1.5)
        self.along = nn.Sequential(nn.Linear(patches, 2 * patches), nn.GELU(), nn.Linear(2 * patches, patches))
        self.across = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = x + 2.0 * self.along(self.first(x).transpose(1, 2)).transpose(1, 2)
        return x + 2.0 * self.across(self.second(x))


def get_inputs():
    return [torch.randn(BATCH, PATCHES, WIDTH)]


def get_init_inputs():
    return [PATCHES, WIDTH]
