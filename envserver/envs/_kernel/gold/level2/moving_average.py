"""The loop over time in the kernel; channels lie side by side and are widened."""

import torch

CPP = r"""
#include <cstdint>

extern "C" void moving_average(const float* x, const float* decay, float* y, int64_t batch, int64_t steps,
                               int64_t width) {
    for (int64_t b = 0; b < batch; ++b) {
        for (int64_t t = 0; t < steps; ++t) {
            const float* from = x + (b * steps + t) * width;
            float* to = y + (b * steps + t) * width;
            if (t == 0) {
                #pragma omp simd
                for (int64_t c = 0; c < width; ++c) to[c] = (1.0f - decay[c]) * from[c];
            } else {
                #pragma omp simd
                for (int64_t c = 0; c < width; ++c) to[c] = decay[c] * to[c - width] + (1.0f - decay[c]) * from[c];
            }
        }
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, width):
        super().__init__()
        self.decay = torch.nn.Parameter(0.5 + 0.5 * torch.rand(width))

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.moving_average(x, self.decay, y, *x.shape)
        return y
