"""Each token through the two networks that a gate prefers, weighed by their shares."""

import torch
from torch import nn
from torch.nn import functional

TOKENS = 8192
WIDTH = 512
HIDDEN = 1024
EXPERTS = 8

CPU = dict(TOKENS=512, WIDTH=128, HIDDEN=256, EXPERTS=8)
GPU = dict(TOKENS=8192, WIDTH=512, HIDDEN=1024, EXPERTS=8)


class Model(nn.Module):
    def __init__(self, width: int, hidden: int, experts: int):
        super().__init__()
        self.gate = nn.Linear(width, experts, bias=False)
        self.up = nn.Parameter(torch.randn(experts, width, hidden) / width**0.5)
        self.down = nn.Parameter(torch.randn(experts, hidden, width) / hidden**0.5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits = 4.0 * self.gate(x)
        least = torch.topk(logits, 2, dim=1).values[:, 1:]
        share = torch.softmax(logits.masked_fill(logits < least, float("-inf")), dim=1)
        out = torch.zeros_like(x)
        for expert in range(share.shape[1]):
            y = functional.gelu(x @ self.up[expert]) @ self.down[expert]
            out = out + share[:, expert : expert + 1] * y
        return out


def get_inputs():
    return [torch.randn(TOKENS, WIDTH)]


def get_init_inputs():
    return [WIDTH, HIDDEN, EXPERTS]
