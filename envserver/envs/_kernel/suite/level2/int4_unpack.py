"""Two four-bit numbers a byte, each with the scale and zero point of its group."""

import torch
from torch import nn

ROWS = 4096
GROUPS = 128
SIZE = 64

CPU = dict(ROWS=512, GROUPS=16, SIZE=64)
GPU = dict(ROWS=4096, GROUPS=128, SIZE=64)


class Model(nn.Module):
    def forward(self, packed: torch.Tensor, scale: torch.Tensor, zero: torch.Tensor) -> torch.Tensor:
        low, high = packed & 15, packed >> 4
        numbers = torch.stack([low, high], dim=-1).flatten(-2).float()
        return ((numbers - zero[:, :, None]) * scale[:, :, None]).flatten(1)


def get_inputs():
    packed = torch.randint(256, (ROWS, GROUPS, SIZE // 2), dtype=torch.uint8)
    return [packed, 0.1 + torch.rand(ROWS, GROUPS), 8.0 + torch.randn(ROWS, GROUPS)]


def get_init_inputs():
    return []
