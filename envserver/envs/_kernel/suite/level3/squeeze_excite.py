"""A convolution whose channels are weighed by a small network that sees their means."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
CHANNELS = 128
HIDDEN = 32
SIZE = 112

CPU = dict(BATCH=8, CHANNELS=32, HIDDEN=8, SIZE=48)
GPU = dict(BATCH=16, CHANNELS=128, HIDDEN=32, SIZE=112)


class Model(nn.Module):
    def __init__(self, channels: int, hidden: int):
        super().__init__()
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.squeeze = nn.Linear(channels, hidden)
        self.excite = nn.Linear(hidden, channels)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = functional.silu(self.conv(x))
        seen = functional.relu(self.squeeze(4.0 * y.mean(dim=(2, 3))))
        return x + y * torch.sigmoid(self.excite(seen))[:, :, None, None]


def get_inputs():
    return [torch.randn(BATCH, CHANNELS, SIZE, SIZE)]


def get_init_inputs():
    return [CHANNELS, HIDDEN]
