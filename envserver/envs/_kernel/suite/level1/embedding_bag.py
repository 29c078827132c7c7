"""Weighted sums of rows of a table, a bag of numbers each."""

import torch
from torch import nn
from torch.nn import functional

TABLE = 100000
WIDTH = 256
BAGS = 65536
SIZE = 32

CPU = dict(TABLE=4096, WIDTH=128, BAGS=1024, SIZE=32)
GPU = dict(TABLE=100000, WIDTH=256, BAGS=65536, SIZE=32)


class Model(nn.Module):
    def __init__(self, table: int, width: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(table, width))

    def forward(self, index: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
        return functional.embedding_bag(index, self.table, mode="sum", per_sample_weights=weight)


def get_inputs():
    return [torch.randint(TABLE, (BAGS, SIZE)), torch.randn(BAGS, SIZE)]


def get_init_inputs():
    return [TABLE, WIDTH]
