"""Two passes over a row that stays in the cache."""

import torch

CPP = r"""
#include <cmath>
#include <cstdint>

extern "C" void rms_norm(const float* x, const float* weight, float* y, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; ++r) {
        const float* from = x + r * columns;
        float* to = y + r * columns;
        float sum = 0.0f;
        #pragma omp simd reduction(+:sum)
        for (int64_t c = 0; c < columns; ++c) sum += from[c] * from[c];
        float scale = 1.0f / sqrtf(sum / columns + 1e-6f);
        #pragma omp simd
        for (int64_t c = 0; c < columns; ++c) to[c] = from[c] * scale * weight[c];
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.weight = torch.nn.Parameter(0.5 + torch.rand(columns))

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.rms_norm(x, self.weight, y, x.shape[0], x.shape[1])
        return y
