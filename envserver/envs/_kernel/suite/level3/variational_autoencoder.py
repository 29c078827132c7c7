"""Encoded to a mean and a variance, sampled with given noise, decoded: the result and both losses."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 8192
INNER = 1024
WIDTH = 1024
LATENT = 64

CPU = dict(ROWS=512, INNER=392, WIDTH=256, LATENT=32)
GPU = dict(ROWS=8192, INNER=1024, WIDTH=1024, LATENT=64)


class Model(nn.Module):
    def __init__(self, inner: int, width: int, latent: int):
        super().__init__()
        self.encoder = nn.Linear(inner, width)
        self.moments = nn.Linear(width, 2 * latent)
        self.decoder = nn.Sequential(nn.Linear(latent, width), nn.SiLU(), nn.Linear(width, inner))

    def forward(self, x: torch.Tensor, noise: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        mean, logvar = self.moments(functional.silu(self.encoder(x))).chunk(2, dim=1)
        made = self.decoder(mean + torch.exp(0.5 * logvar) * noise)
        error = ((made - x) ** 2).mean(dim=1)
        divergence = 0.5 * (mean * mean + torch.exp(logvar) - logvar - 1.0).mean(dim=1)
        return made, error, divergence


def get_inputs():
    return [torch.randn(ROWS, INNER), torch.randn(ROWS, LATENT)]


def get_init_inputs():
    return [INNER, WIDTH, LATENT]
