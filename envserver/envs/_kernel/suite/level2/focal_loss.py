"""Focal loss of yes-or-no labels, the mean of each row."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 8192
COLUMNS = 3072
ALPHA = 0.25
GAMMA = 2.0

CPU = dict(ROWS=512, COLUMNS=1024)
GPU = dict(ROWS=8192, COLUMNS=3072)


class Model(nn.Module):
    def __init__(self, alpha: float, gamma: float):
        super().__init__()
        self.alpha, self.gamma = alpha, gamma

    def forward(self, logits: torch.Tensor, label: torch.Tensor) -> torch.Tensor:
        loss = functional.binary_cross_entropy_with_logits(logits, label, reduction="none")
        right = torch.exp(-loss)
        weight = self.alpha * label + (1.0 - self.alpha) * (1.0 - label)
        return (weight * (1.0 - right) ** self.gamma * loss).mean(dim=1)


def get_inputs():
    return [torch.randn(ROWS, COLUMNS), (torch.rand(ROWS, COLUMNS) < 0.3).float()]


def get_init_inputs():
    return [ALPHA, GAMMA]
