"""Softmax over experts; the largest shares and whose they are, the shares brought to sum one."""

import torch
from torch import nn

TOKENS = 524288
EXPERTS = 96
KEPT = 4

CPU = dict(TOKENS=16384, EXPERTS=48, KEPT=4)
GPU = dict(TOKENS=524288, EXPERTS=96, KEPT=4)


class Model(nn.Module):
    def __init__(self, kept: int):
        super().__init__()
        self.kept = kept

    def forward(self, logits: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        share, expert = torch.topk(torch.softmax(logits, dim=1), self.kept, dim=1)
        return share / share.sum(dim=1, keepdim=True), expert


def get_inputs():
    return [torch.randn(TOKENS, EXPERTS)]


def get_init_inputs():
    return [KEPT]
