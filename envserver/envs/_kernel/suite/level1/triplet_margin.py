"""By how much a negative is not farther than a positive, with a margin."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 8192
COLUMNS = 2048
MARGIN = 2.0

CPU = dict(ROWS=1024, COLUMNS=320)
GPU = dict(ROWS=8192, COLUMNS=2048)


class Model(nn.Module):
    def __init__(self, margin: float):
        super().__init__()
        self.margin = margin

    def forward(self, anchor: torch.Tensor, positive: torch.Tensor, negative: torch.Tensor) -> torch.Tensor:
        return functional.triplet_margin_loss(anchor, positive, negative, margin=self.margin, reduction="none")


def get_inputs():
    return [torch.randn(ROWS, COLUMNS), torch.randn(ROWS, COLUMNS), torch.randn(ROWS, COLUMNS)]


def get_init_inputs():
    return [MARGIN]
