"""The mean of the first tokens of each sequence, brought to length one."""

import torch
from torch import nn
from torch.nn import functional

BATCH = 64
LENGTH = 1024
WIDTH = 768

CPU = dict(BATCH=16, LENGTH=120, WIDTH=512)
GPU = dict(BATCH=64, LENGTH=1024, WIDTH=768)


class Model(nn.Module):
    def forward(self, x: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
        inside = (torch.arange(x.shape[1], device=x.device) < length[:, None]).to(x.dtype)
        mean = (x * inside[:, :, None]).sum(dim=1) / length[:, None].to(x.dtype)
        return functional.normalize(mean, dim=1)


def get_inputs():
    return [torch.randn(BATCH, LENGTH, WIDTH), torch.randint(1, LENGTH + 1, (BATCH,))]


def get_init_inputs():
    return []
