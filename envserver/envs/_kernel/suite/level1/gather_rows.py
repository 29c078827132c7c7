"""Rows of a table, by their numbers."""

import torch
from torch import nn

TABLE = 32768
WIDTH = 512
COUNT = 65536

CPU = dict(TABLE=4096, WIDTH=128, COUNT=8192)
GPU = dict(TABLE=32768, WIDTH=512, COUNT=65536)


class Model(nn.Module):
    def forward(self, table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return torch.index_select(table, 0, index)


def get_inputs():
    return [torch.randn(TABLE, WIDTH), torch.randint(TABLE, (COUNT,))]


def get_init_inputs():
    return []
