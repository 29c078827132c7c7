"""How far each row's distribution is from another, given in logarithms."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 8192
COLUMNS = 3072

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=8192, COLUMNS=3072)


class Model(nn.Module):
    def forward(self, given: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        return functional.kl_div(given, wanted, reduction="none").sum(dim=1)


def get_inputs():
    return [torch.log_softmax(torch.randn(ROWS, COLUMNS), dim=1), torch.softmax(torch.randn(ROWS, COLUMNS), dim=1)]


def get_init_inputs():
    return []
