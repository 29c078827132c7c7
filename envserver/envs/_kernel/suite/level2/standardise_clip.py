"""Each column brought to mean zero and deviation one, and outliers cut."""

import torch
from torch import nn

ROWS = 6144
COLUMNS = 4096
LIMIT = 1.8

CPU = dict(ROWS=1024, COLUMNS=1024)
GPU = dict(ROWS=6144, COLUMNS=4096)


class Model(nn.Module):
    def __init__(self, limit: float):
        super().__init__()
        self.limit = limit

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean, deviation = x.mean(dim=0), x.std(dim=0)
        return torch.clamp((x - mean) / (deviation + 1e-5), -self.limit, self.limit)


def get_inputs():
    return [3.0 + 2.0 * torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return [LIMIT]
