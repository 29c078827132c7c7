"""The magnitudes of each row's frequencies."""

import torch
from torch import nn

ROWS = 4096
COLUMNS = 8192

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=4096, COLUMNS=8192)


class Model(nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.abs(torch.fft.rfft(x, dim=1))


def get_inputs():
    return [torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
