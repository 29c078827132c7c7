"""The mean of the rows of each segment; rows of a segment need not lie together."""

import torch
from torch import nn

SEGMENTS = 8192
WIDTH = 256
COUNT = 131072

CPU = dict(SEGMENTS=512, WIDTH=64, COUNT=8192)
GPU = dict(SEGMENTS=8192, WIDTH=256, COUNT=131072)


class Model(nn.Module):
    def __init__(self, segments: int):
        super().__init__()
        self.segments = segments

    def forward(self, x: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        start = torch.zeros(self.segments, x.shape[1], device=x.device)
        return start.scatter_reduce(0, index[:, None].expand_as(x), x, "mean", include_self=False)


def get_inputs():
    return [torch.randn(COUNT, WIDTH), torch.randint(SEGMENTS, (COUNT,))]


def get_init_inputs():
    return [SEGMENTS]
