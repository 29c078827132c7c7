"""Points in space as sines and cosines, a network of three layers, colour and density along rays."""

import torch
from torch import nn
from torch.nn import functional

RAYS = 8192
SAMPLES = 64
WIDTH = 256
WAVES = 6

CPU = dict(RAYS=128, SAMPLES=32, WIDTH=64, WAVES=6)
GPU = dict(RAYS=8192, SAMPLES=64, WIDTH=256, WAVES=6)


class Model(nn.Module):
    def __init__(self, waves: int, width: int):
        super().__init__()
        self.register_buffer("speed", 2.0 ** torch.arange(waves))
        self.layers = nn.Sequential(
            nn.Linear(6 * waves, width), nn.ReLU(), nn.Linear(width, width), nn.ReLU(), nn.Linear(width, 4)
        )

    def forward(self, points: torch.Tensor, step: torch.Tensor) -> torch.Tensor:
        angle = (points[..., None] * self.speed).flatten(2)
        y = 4.0 * self.layers(torch.cat([torch.sin(angle), torch.cos(angle)], dim=2))
        opaque = 1.0 - torch.exp(-functional.softplus(y[..., 3]) * step)
        left = torch.cumprod(1.0 - opaque + 1e-6, dim=1)
        left = torch.cat([torch.ones_like(left[:, :1]), left[:, :-1]], dim=1)
        return ((left * opaque)[..., None] * torch.sigmoid(y[..., :3])).sum(dim=1)


def get_inputs():
    return [torch.randn(RAYS, SAMPLES, 3), 0.02 + 0.2 * torch.rand(RAYS, SAMPLES)]


def get_init_inputs():
    return [WAVES, WIDTH]
