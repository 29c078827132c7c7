"""The cosine of the angle between the rows of two matrices."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 8192
COLUMNS = 3072

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=8192, COLUMNS=3072)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return functional.cosine_similarity(a, b, dim=1)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS), torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return []
