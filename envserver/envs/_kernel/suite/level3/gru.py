"""A gated recurrent unit over sequences: every state."""

import torch
from torch import nn

BATCH = 256
STEPS = 128
INNER = 256
WIDTH = 256

CPU = dict(BATCH=32, STEPS=32, INNER=64, WIDTH=128)
GPU = dict(BATCH=256, STEPS=128, INNER=256, WIDTH=256)


class Model(nn.Module):
    def __init__(self, inner: int, width: int):
        super().__init__()
        self.enter = nn.Linear(inner, 3 * width)
        self.turn = nn.Linear(width, 3 * width)

    def forward(self, x: torch.Tensor, state: torch.Tensor) -> torch.Tensor:
        entered, out = self.enter(x), []
        for step in range(x.shape[1]):
            reset_x, update_x, new_x = entered[:, step].chunk(3, dim=1)
            reset_h, update_h, new_h = self.turn(state).chunk(3, dim=1)
            update = torch.sigmoid(update_x + update_h)
            new = torch.tanh(new_x + torch.sigmoid(reset_x + reset_h) * new_h)
            state = (1.0 - update) * new + update * state
            out.append(state)
        return torch.stack(out, dim=1)


def get_inputs():
    return [torch.randn(BATCH, STEPS, INNER), torch.randn(BATCH, WIDTH)]


def get_init_inputs():
    return [INNER, WIDTH]
