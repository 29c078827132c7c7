"""The product of two square matrices."""

import torch
from torch import nn

SIZE = 4096

CPU = dict(SIZE=512)
GPU = dict(SIZE=4096)


class Model(nn.Module):
    def forward(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b


def get_inputs():
    return [torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE) / SIZE**0.5]


def get_init_inputs():
    return []
