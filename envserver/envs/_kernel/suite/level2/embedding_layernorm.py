"""Embeddings of tokens and of places added, then layer norm."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 32
LENGTH = 1024
WIDTH = 768
WORDS = 32768

CPU = dict(BATCH=4, LENGTH=256, WIDTH=512, WORDS=2048)
GPU = dict(BATCH=32, LENGTH=1024, WIDTH=768, WORDS=32768)


class Model(nn.Module):
    def __init__(self, words: int, length: int, width: int):
        super().__init__()
        self.words = nn.Parameter(torch.randn(words, width))
        self.places = nn.Parameter(torch.randn(length, width))
        self.norm_weight = nn.Parameter(0.5 + torch.rand(width))
        self.norm_bias = nn.Parameter(torch.randn(width))

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        y = functional.embedding(tokens, self.words) + self.places
        return functional.layer_norm(y, self.norm_weight.shape, self.norm_weight, self.norm_bias)


def get_inputs():
    return [torch.randint(WORDS, (BATCH, LENGTH))]


def get_init_inputs():
    return [WORDS, LENGTH, WIDTH]
