"""The negative log-likelihood of numbers under means and log-variances, a number a row."""

import math

import torch
from torch import nn

ROWS = 8192
COLUMNS = 2048

CPU = dict(ROWS=512, COLUMNS=640)
GPU = dict(ROWS=8192, COLUMNS=2048)


class Model(nn.Module):
    def forward(self, x: torch.Tensor, mean: torch.Tensor, logvar: torch.Tensor) -> torch.Tensor:
        squares = (x - mean) ** 2 * torch.exp(-logvar)
        return 0.5 * (squares + logvar + math.log(2.0 * math.pi)).mean(dim=1)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS), torch.randn(ROWS, COLUMNS), 0.5 * torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
