"""The length of an image's Sobel gradient."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 8
SIZE = 448

CPU = dict(BATCH=8, CHANNELS=4, SIZE=160)
GPU = dict(BATCH=16, CHANNELS=8, SIZE=448)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.pad(x, (1, 1, 1, 1), mode="replicate")
        across = y[:, :, :-2] + 2.0 * y[:, :, 1:-1] + y[:, :, 2:]
        along = y[:, :, :, :-2] + 2.0 * y[:, :, :, 1:-1] + y[:, :, :, 2:]
        dx = across[:, :, :, 2:] - across[:, :, :, :-2]
        dy = along[:, :, 2:] - along[:, :, :-2]
        return torch.sqrt(dx * dx + dy * dy + 1e-6)


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return []
