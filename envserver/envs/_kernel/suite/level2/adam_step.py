"""One step of Adam with weight decay: the new weights and both moments."""

import torch
from torch import nn

ROWS = 4096
COLUMNS = 2048
RATE = 0.03
DECAY = 0.1

CPU = dict(ROWS=256, COLUMNS=960)
GPU = dict(ROWS=4096, COLUMNS=2048)


class Model(nn.Module):
    def __init__(self, rate: float, decay: float):
        super().__init__()
        self.rate, self.decay = rate, decay

    def forward(
        self, weight: torch.Tensor, gradient: torch.Tensor, first: torch.Tensor, second: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        first = 0.9 * first + 0.1 * gradient
        second = 0.999 * second + 0.001 * gradient * gradient
        step = (first / 0.19) / (torch.sqrt(second / 0.002) + 1e-8)
        return weight - self.rate * (step + self.decay * weight), first, second


def get_inputs():
    return [
        torch.randn(ROWS, COLUMNS),
        torch.randn(ROWS, COLUMNS),
        0.3 * torch.randn(ROWS, COLUMNS),
        torch.rand(ROWS, COLUMNS),
    ]


def get_init_inputs():
    return [RATE, DECAY]
