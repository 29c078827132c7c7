"""One level of a U-Net: down, through, up, joined with what was kept."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 8
CHANNELS = 32
SIZE = 224

CPU = dict(BATCH=2, CHANNELS=16, SIZE=64)
GPU = dict(BATCH=8, CHANNELS=32, SIZE=224)


class Model(nn.Module):
    def __init__(self, channels: int):
        super().__init__()
        self.enter = nn.Conv2d(channels, channels, 3, padding=1)
        self.through = nn.Conv2d(channels, 2 * channels, 3, padding=1)
        self.up = nn.ConvTranspose2d(2 * channels, channels, 2, stride=2)
        self.leave = nn.Conv2d(2 * channels, channels, 3, padding=1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept = functional.silu(self.enter(x))
        deep = functional.silu(self.through(functional.max_pool2d(kept, 2)))
        return self.leave(torch.cat([kept, self.up(deep)], dim=1))


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS]
