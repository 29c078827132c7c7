"""Images cut into patches, one attention block, the mean of the patches, a class each."""

import torch
from torch import nn

BATCH = 64
SIZE = 224
PATCH = 16
WIDTH = 384
CLASSES = 100

CPU = dict(BATCH=8, SIZE=64, PATCH=8, WIDTH=128, CLASSES=100)
GPU = dict(BATCH=64, SIZE=224, PATCH=16, WIDTH=384, CLASSES=100)


class Model(nn.Module):
    def __init__(self, size: int, patch: int, width: int, classes: int):
        super().__init__()
        self.patches = nn.Conv2d(3, width, patch, stride=patch)
        self.places = nn.Parameter(torch.randn((size // patch) ** 2, width))
        self.norm = nn.LayerNorm(width)
        nn.init.uniform_(self.norm.weight, 0.5, 1.5)
        self.qkv = nn.Linear(width, 3 * width)
        self.feed = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.head = nn.Linear(width, classes)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2) + self.places
        q, k, v = self.qkv(self.norm(x)).chunk(3, dim=2)
        x = x + torch.softmax(q @ k.transpose(1, 2) / q.shape[-1] ** 0.5, dim=-1) @ v
        x = x + self.feed(x)
        return 4.0 * self.head(x.mean(dim=1))


def get_inputs():
    return [torch.randn(BATCH, 3, SIZE, SIZE)]


def get_init_inputs():
    return [SIZE, PATCH, WIDTH, CLASSES]
