"""A power of 3/4 is two square roots; sums over channels are made in the cache."""

import torch

CPP = r"""
#include <cmath>
#include <cstdint>

extern "C" void local_response_norm(const float* x, float* y, int64_t batch, int64_t channels, int64_t places,
                                    int64_t size) {
    for (int64_t b = 0; b < batch; ++b) {
        for (int64_t c = 0; c < channels; ++c) {
            int64_t low = c - size / 2, high = c + (size - 1) / 2;
            low = low < 0 ? 0 : low;
            high = high >= channels ? channels - 1 : high;
            const float* image = x + b * channels * places;
            float* to = y + (b * channels + c) * places;
            for (int64_t start = 0; start < places; start += 512) {  // what is added up stays in the cache
                int64_t count = places - start < 512 ? places - start : 512;
                float sums[512];
                for (int64_t i = 0; i < count; ++i) sums[i] = 0.0f;
                for (int64_t n = low; n <= high; ++n) {
                    const float* from = image + n * places + start;
                    #pragma omp simd
                    for (int64_t i = 0; i < count; ++i) sums[i] += from[i] * from[i];
                }
                const float* own = image + c * places + start;
                #pragma omp simd
                for (int64_t i = 0; i < count; ++i) {
                    float root = sqrtf(1.0f + 0.5f / size * sums[i]);
                    to[start + i] = own[i] / (root * sqrtf(root));  // to the power of 3/4
                }
            }
        }
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, size):
        super().__init__()
        self.size = size

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.local_response_norm(x, y, x.shape[0], x.shape[1], x.shape[2] * x.shape[3], self.size)
        return y
