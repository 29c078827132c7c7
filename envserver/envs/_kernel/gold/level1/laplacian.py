"""One pass where eager takes five."""

import torch

CPP = r"""
#include <cstdint>

extern "C" void laplacian(const float* x, float* y, int64_t batch, int64_t size) {
    for (int64_t b = 0; b < batch; ++b) {
        for (int64_t r = 1; r < size - 1; ++r) {
            const float* row = x + (b * size + r) * size;
            float* to = y + (b * (size - 2) + r - 1) * (size - 2) - 1;
            #pragma omp simd
            for (int64_t c = 1; c < size - 1; ++c)
                to[c] = row[c - size] + row[c + size] + row[c - 1] + row[c + 1] - 4.0f * row[c];
        }
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def forward(self, x):
        batch, size, _ = x.shape
        y = torch.empty(batch, size - 2, size - 2)
        kernels.laplacian(x, y, batch, size)
        return y
