"""Row by row, as memory lies; nothing is subtracted again."""

import torch

CPP = r"""
#include <cstdint>

extern "C" void column_prefix_sum(const float* x, float* y, int64_t rows, int64_t columns) {
    for (int64_t c = 0; c < columns; ++c) y[c] = 0.0f;
    for (int64_t r = 1; r < rows; ++r) {
        const float* before = y + (r - 1) * columns;
        const float* from = x + (r - 1) * columns;
        float* to = y + r * columns;
        #pragma omp simd
        for (int64_t c = 0; c < columns; ++c) to[c] = before[c] + from[c];
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.column_prefix_sum(x, y, x.shape[0], x.shape[1])
        return y
