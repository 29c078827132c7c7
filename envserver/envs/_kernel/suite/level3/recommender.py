"""Embeddings of several features, their products with each other, and a network over all of it."""

import torch
from torch import nn
from torch.nn import functional

ROWS = 32768
FEATURES = 16
WORDS = 100000
WIDTH = 64
NUMBERS = 13

CPU = dict(ROWS=1024, FEATURES=12, WORDS=2000, WIDTH=32, NUMBERS=13)
GPU = dict(ROWS=32768, FEATURES=16, WORDS=100000, WIDTH=64, NUMBERS=13)


class Model(nn.Module):
    def __init__(self, features: int, words: int, width: int, numbers: int):
        super().__init__()
        self.table = nn.Parameter(torch.randn(features * words, width))
        self.register_buffer("first", torch.arange(features) * words)
        self.dense = nn.Sequential(nn.Linear(numbers, 64), nn.ReLU(), nn.Linear(64, width))
        pairs = torch.triu_indices(features + 1, features + 1, 1)
        self.register_buffer("left", pairs[0])
        self.register_buffer("right", pairs[1])
        self.top = nn.Sequential(nn.Linear(width + len(pairs[0]), 128), nn.ReLU(), nn.Linear(128, 1))

    def forward(self, numbers: torch.Tensor, words: torch.Tensor) -> torch.Tensor:
        dense = self.dense(numbers)
        every = torch.cat([dense[:, None], functional.embedding(words + self.first, self.table)], dim=1)
        products = (every @ every.transpose(1, 2))[:, self.left, self.right] / every.shape[2] ** 0.5
        return torch.sigmoid(self.top(torch.cat([dense, products], dim=1)))


def get_inputs():
    return [torch.randn(ROWS, NUMBERS), torch.randint(WORDS, (ROWS, FEATURES))]


def get_init_inputs():
    return [FEATURES, WORDS, WIDTH, NUMBERS]
