"""Softplus grows with its argument: it is needed of one number a row."""

import torch

CPP = r"""
#include <cmath>
#include <cstdint>

extern "C" void softplus_scale_max(const float* x, float* y, int64_t rows, int64_t columns, float scale) {
    for (int64_t r = 0; r < rows; ++r) {
        const float* row = x + r * columns;
        float most = row[0], least = row[0];
        #pragma omp simd reduction(max:most) reduction(min:least)
        for (int64_t c = 0; c < columns; ++c) {
            most = row[c] > most ? row[c] : most;
            least = row[c] < least ? row[c] : least;
        }
        float v = scale < 0.0f ? least : most;
        y[r] = scale * ((v > 0.0f ? v : 0.0f) + std::log1p(std::exp(v > 0.0f ? -v : v)));
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math", "-ffinite-math-only", "-fno-signed-zeros"]


class ModelNew(torch.nn.Module):
    def __init__(self, scale):
        super().__init__()
        self.scale = scale

    def forward(self, x):
        y = torch.empty(x.shape[0])
        kernels.softplus_scale_max(x, y, x.shape[0], x.shape[1], self.scale)
        return y
