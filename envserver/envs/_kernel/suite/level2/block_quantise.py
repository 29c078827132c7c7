"""Blocks of numbers as eight-bit integers that share a power of two."""

import torch
from torch import nn

ROWS = 4096
BLOCKS = 192
SIZE = 32

CPU = dict(ROWS=512, BLOCKS=32, SIZE=32)
GPU = dict(ROWS=4096, BLOCKS=192, SIZE=32)


class Model(nn.Module):
    def __init__(self, size: int):
        super().__init__()
        self.size = size

    def forward(self, x: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        blocks = x.view(x.shape[0], -1, self.size)
        most = torch.amax(torch.abs(blocks), dim=2, keepdim=True)
        exponent = torch.frexp(most)[1] - 7
        numbers = torch.clamp(torch.round(torch.ldexp(blocks, -exponent)), -127, 127)
        return numbers.to(torch.int8).view_as(x), exponent.squeeze(2)


def get_inputs():
    x = torch.randn(ROWS, BLOCKS, SIZE) * torch.exp2(2.0 * torch.randn(ROWS, BLOCKS, 1))
    return [x.flatten(1)]


def get_init_inputs():
    return [SIZE]
