"""The padded image is never made: edges look at themselves."""

import torch

CPP = r"""
#include <cmath>
#include <cstdint>

extern "C" void edge_strength(const float* x, float* y, int64_t images, int64_t size) {
    for (int64_t n = 0; n < images; ++n) {
        const float* image = x + n * size * size;
        for (int64_t r = 0; r < size; ++r) {
            const float* up = image + (r > 0 ? r - 1 : 0) * size;
            const float* mid = image + r * size;
            const float* down = image + (r + 1 < size ? r + 1 : r) * size;
            float* to = y + (n * size + r) * size;
            for (int64_t c = 0; c < size; c += size - 1) {  // both ends
                int64_t l = c > 0 ? c - 1 : 0, h = c + 1 < size ? c + 1 : c;
                float dx = up[h] - up[l] + 2.0f * (mid[h] - mid[l]) + down[h] - down[l];
                float dy = down[l] - up[l] + 2.0f * (down[c] - up[c]) + down[h] - up[h];
                to[c] = sqrtf(dx * dx + dy * dy + 1e-6f);
            }
            #pragma omp simd
            for (int64_t c = 1; c < size - 1; ++c) {
                float dx = up[c + 1] - up[c - 1] + 2.0f * (mid[c + 1] - mid[c - 1]) + down[c + 1] - down[c - 1];
                float dy = down[c - 1] - up[c - 1] + 2.0f * (down[c] - up[c]) + down[c + 1] - up[c + 1];
                to[c] = sqrtf(dx * dx + dy * dy + 1e-6f);
            }
        }
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.edge_strength(x, y, x.shape[0] * x.shape[1], x.shape[2])
        return y
