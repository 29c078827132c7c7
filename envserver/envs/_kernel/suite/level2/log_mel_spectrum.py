"""Frames of a signal, windowed, their power by bands, in logarithms."""

import torch
from torch import nn

BATCH = 64
LENGTH = 400000
FRAME = 512
STEP = 256
BANDS = 80

CPU = dict(BATCH=8, LENGTH=65536, FRAME=512, STEP=256, BANDS=40)
GPU = dict(BATCH=64, LENGTH=400000, FRAME=512, STEP=256, BANDS=80)


class Model(nn.Module):
    def __init__(self, frame: int, step: int, bands: int):
        super().__init__()
        self.frame, self.step = frame, step
        self.register_buffer("window", torch.hann_window(frame))
        self.bands = nn.Parameter(torch.rand(frame // 2 + 1, bands) / frame)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        frames = x.unfold(1, self.frame, self.step) * self.window
        power = torch.abs(torch.fft.rfft(frames, dim=2)) ** 2
        return torch.log(power @ self.bands + 1e-3)


def get_inputs():
    return [torch.randn(BATCH, LENGTH)]


def get_init_inputs():
    return [FRAME, STEP, BANDS]
