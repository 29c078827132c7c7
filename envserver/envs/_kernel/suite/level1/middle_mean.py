"""The mean over the middle dimension."""

import torch
from torch import nn

BATCH = 64
STEPS = 1024
WIDTH = 768

CPU = dict(BATCH=8, STEPS=256, WIDTH=512)
GPU = dict(BATCH=64, STEPS=1024, WIDTH=768)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.mean(x, dim=1)


def get_inputs():
    return [torch.randn(BATCH, STEPS, WIDTH)]


def get_init_inputs():
    return []
