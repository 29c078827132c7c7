"""A long short-term memory over sequences: every output, and the last cell."""

import torch
from torch import nn

BATCH = 256
STEPS = 128
INNER = 256
WIDTH = 256

CPU = dict(BATCH=32, STEPS=32, INNER=64, WIDTH=96)
GPU = dict(BATCH=256, STEPS=128, INNER=256, WIDTH=256)


class Model(nn.Module):
    def __init__(self, inner: int, width: int):
        super().__init__()
        self.enter = nn.Linear(inner, 4 * width)
        self.turn = nn.Linear(width, 4 * width, bias=False)

    def forward(self, x: torch.Tensor, state: torch.Tensor, cell: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        entered, out = self.enter(x), []
        for step in range(x.shape[1]):
            take, forget, new, show = (entered[:, step] + self.turn(state)).chunk(4, dim=1)
            cell = torch.sigmoid(forget) * cell + torch.sigmoid(take) * torch.tanh(new)
            state = torch.sigmoid(show) * torch.tanh(cell)
            out.append(state)
        return torch.stack(out, dim=1), cell


def get_inputs():
    return [torch.randn(BATCH, STEPS, INNER), torch.randn(BATCH, WIDTH), torch.randn(BATCH, WIDTH)]


def get_init_inputs():
    return [INNER, WIDTH]
