"""A state-space layer whose steps depend on the input: projections, a scan over time, a gate."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 16
STEPS = 256
WIDTH = 512
STATES = 16

CPU = dict(BATCH=4, STEPS=64, WIDTH=64, STATES=16)
GPU = dict(BATCH=16, STEPS=256, WIDTH=512, STATES=16)


class Model(nn.Module):
    def __init__(self, width: int, states: int):
        super().__init__()
        self.states = states
        self.enter = nn.Linear(width, 2 * width)
        self.choose = nn.Linear(width, width + 2 * states)
        self.rate = nn.Parameter(torch.rand(width, states))
        self.skip = nn.Parameter(torch.randn(width))
        self.leave = nn.Linear(width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        u, gate = self.enter(x).chunk(2, dim=2)
        pace, b, c = self.choose(u).split([u.shape[2], self.states, self.states], dim=2)
        pace, decay = functional.softplus(pace), -torch.exp(self.rate)
        state, out = torch.zeros(u.shape[0], u.shape[2], self.states, device=x.device), []
        for step in range(u.shape[1]):
            kept = torch.exp(pace[:, step, :, None] * decay)
            state = kept * state + (pace[:, step] * u[:, step])[:, :, None] * b[:, step, None, :]
            out.append((state * c[:, step, None, :]).sum(dim=2))
        y = torch.stack(out, dim=1) + self.skip * u
        return 4.0 * self.leave(y * functional.silu(gate))


def get_inputs():
    return [torch.randn(BATCH, STEPS, WIDTH)]


def get_init_inputs():
    return [WIDTH, STATES]
