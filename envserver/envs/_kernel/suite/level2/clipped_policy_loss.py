"""The clipped surrogate of each sequence: the mean over its own tokens."""

import torch
from torch import nn

ROWS = 4096
LENGTH = 3072
LOW = 0.2
HIGH = 0.28

CPU = dict(ROWS=512, LENGTH=512)
GPU = dict(ROWS=4096, LENGTH=3072)


class Model(nn.Module):
    def __init__(self, low: float, high: float):
        super().__init__()
        self.low, self.high = low, high

    def forward(
        self, logp: torch.Tensor, behaviour: torch.Tensor, advantage: torch.Tensor, mask: torch.Tensor
    ) -> torch.Tensor:
        ratio = torch.exp(logp - behaviour)
        clipped = torch.clamp(ratio, 1.0 - self.low, 1.0 + self.high)
        surrogate = torch.minimum(ratio * advantage, clipped * advantage)
        return -(surrogate * mask).sum(dim=1) / mask.sum(dim=1).clamp(min=1.0)


def get_inputs():
    behaviour = -torch.rand(ROWS, LENGTH)
    logp = behaviour + 0.3 * torch.randn(ROWS, LENGTH)
    return [logp, behaviour, torch.randn(ROWS, LENGTH), (torch.rand(ROWS, LENGTH) < 0.8).float()]


def get_init_inputs():
    return [LOW, HIGH]
