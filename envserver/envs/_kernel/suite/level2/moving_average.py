"""An exponential moving average along each sequence, with a decay a channel."""

import torch
from torch import nn

BATCH = 64
STEPS = 512
WIDTH = 768

CPU = dict(BATCH=8, STEPS=128, WIDTH=512)
GPU = dict(BATCH=64, STEPS=512, WIDTH=768)


class Model(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.decay = nn.Parameter(0.5 + 0.5 * torch.rand(width))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        state, out = torch.zeros_like(x[:, 0]), []
        for step in range(x.shape[1]):
            state = self.decay * state + (1.0 - self.decay) * x[:, step]
            out.append(state)
        return torch.stack(out, dim=1)


def get_inputs():
    return [torch.randn(BATCH, STEPS, WIDTH)]


def get_init_inputs():
    return [WIDTH]
