"""Rows added into the bins that their numbers name."""

import torch
from torch import nn

BINS = 8192
WIDTH = 256
COUNT = 131072

CPU = dict(BINS=512, WIDTH=64, COUNT=8192)
GPU = dict(BINS=8192, WIDTH=256, COUNT=131072)


class Model(nn.Module):
    def __init__(self, bins: int):
        super().__init__()
        self.bins = bins

    def forward(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return torch.zeros(self.bins, x.shape[1], device=x.device).index_add(0, index, x)


def get_inputs():
    return [torch.randn(COUNT, WIDTH), torch.randint(BINS, (COUNT,))]


def get_init_inputs():
    return [BINS]
