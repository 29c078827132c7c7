"""How far a student's softened distribution is from a teacher's, a number a row."""

import torch
from torch import nn

ROWS = 8192
CLASSES = 3072
TEMPERATURE = 2.0

CPU = dict(ROWS=512, CLASSES=1000)
GPU = dict(ROWS=8192, CLASSES=3072)


class Model(nn.Module):
    def __init__(self, temperature: float):
        super().__init__()
        self.temperature = temperature

    def forward(self, student: torch.Tensor, teacher: torch.Tensor) -> torch.Tensor:
        logp = torch.log_softmax(student / self.temperature, dim=1)
        wanted = torch.log_softmax(teacher / self.temperature, dim=1)
        return self.temperature**2 * torch.sum(torch.exp(wanted) * (wanted - logp), dim=1)


def get_inputs():
    return [2.0 * torch.randn(ROWS, CLASSES), 2.0 * torch.randn(ROWS, CLASSES)]


def get_init_inputs():
    return [TEMPERATURE]
