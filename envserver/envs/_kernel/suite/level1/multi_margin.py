"""The hinge loss of each row over all classes but its label's."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 8192
CLASSES = 6144

CPU = dict(ROWS=1024, CLASSES=1000)
GPU = dict(ROWS=8192, CLASSES=6144)


class Model(nn.Module):
    def forward(self, scores: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        return functional.multi_margin_loss(scores, label, reduction="none")


def get_inputs():
    return [torch.randn(ROWS, CLASSES), torch.randint(CLASSES, (ROWS,))]


def get_init_inputs():
    return []
