"""Capsules that agree on others by three rounds of routing."""

import torch
from torch import nn

BATCH = 128
INNER = 512
OUTER = 16
WIDTH = 8
SIZE = 16

CPU = dict(BATCH=4, INNER=128, OUTER=10, WIDTH=8, SIZE=16)
GPU = dict(BATCH=128, INNER=512, OUTER=16, WIDTH=8, SIZE=16)


class Model(nn.Module):
    def __init__(self, inner: int, outer: int, width: int, size: int):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(inner, outer, width, size) / width**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        votes = torch.einsum("biw,iows->bios", x, self.weight)
        logits = torch.zeros(votes.shape[:3], device=x.device)
        for _ in range(3):
            share = torch.softmax(logits, dim=2)
            total = 0.3 * (share[..., None] * votes).sum(dim=1)
            square = (total * total).sum(dim=2, keepdim=True)
            seen = total * torch.sqrt(square) / (1.0 + square)
            logits = logits + (votes * seen[:, None]).sum(dim=3)
        return seen


def get_inputs():
    return [torch.randn(BATCH, INNER, WIDTH)]


def get_init_inputs():
    return [INNER, OUTER, WIDTH, SIZE]
