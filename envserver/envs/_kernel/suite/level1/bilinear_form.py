"""One number for each pair of vectors: one times a matrix times the other."""

import torch
from torch import nn

BATCH = 16384
LEFT = 1024
RIGHT = 1024

CPU = dict(BATCH=1024, LEFT=256, RIGHT=320)
GPU = dict(BATCH=16384, LEFT=1024, RIGHT=1024)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, form: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.einsum("bi,ij,bj->b", a, form, b)


def get_inputs():
    return [torch.randn(BATCH, LEFT), torch.randn(LEFT, RIGHT) / (LEFT * RIGHT) ** 0.5, torch.randn(BATCH, RIGHT)]


def get_init_inputs():
    return []
