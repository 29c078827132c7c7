"""A recurrent retention layer: an outer product added to a fading matrix at each step, read by the query."""

import torch
from torch import nn

BATCH = 8
HEADS = 8
STEPS = 256
WIDTH = 64

CPU = dict(BATCH=2, HEADS=4, STEPS=64, WIDTH=32)
GPU = dict(BATCH=8, HEADS=8, STEPS=256, WIDTH=64)


class Model(nn.Module):
    def __init__(self, heads: int, width: int):
        super().__init__()
        self.heads = heads
        self.qkv = nn.Linear(heads * width, 3 * heads * width, bias=False)
        self.out = nn.Linear(heads * width, heads * width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, steps, whole = x.shape
        q, k, v = self.qkv(x).view(batch, steps, 3, self.heads, -1).permute(2, 1, 0, 3, 4)
        fade = (1.0 - 2.0 ** (-3.0 - torch.arange(self.heads, device=x.device))).view(1, -1, 1, 1)
        state, out = torch.zeros(batch, self.heads, q.shape[-1], q.shape[-1], device=x.device), []
        for step in range(steps):
            state = fade * state + k[step].unsqueeze(3) * v[step].unsqueeze(2)
            out.append((q[step].unsqueeze(2) @ state).squeeze(2))
        seen = torch.stack(out, dim=1) / q.shape[-1] ** 0.5
        return 2.0 * self.out(seen.reshape(batch, steps, whole))


def get_inputs():
    return [torch.randn(BATCH, STEPS, HEADS * WIDTH)]


def get_init_inputs():
    return [HEADS, WIDTH]
