"""(1 + tanh(z)) / 2 is a sigmoid of 2 z: one exponential."""

import torch

CPP = r"""
#include <cmath>
#include <cstdint>
#include <cstring>

static inline float exp_(float x) {
    x = x < -87.0f ? -87.0f : x;
    x = x > 88.0f ? 88.0f : x;
    float n = (x * 1.44269504f + 12582912.0f) - 12582912.0f;  // to the nearest integer
    float r = x - n * 0.693359375f + n * 2.12194440e-4f;
    float p = 1.9875691500e-4f;
    p = p * r + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    int32_t bits = ((int32_t)n + 127) << 23;
    float scale;
    memcpy(&scale, &bits, 4);
    return (p * r * r + r + 1.0f) * scale;
}

extern "C" void layernorm_gelu(const float* x, const float* weight, const float* bias, float* y, int64_t rows,
                               int64_t columns) {
    for (int64_t r = 0; r < rows; ++r) {
        const float* from = x + r * columns;
        float* to = y + r * columns;
        float sum = 0.0f, squares = 0.0f;
        #pragma omp simd reduction(+:sum)
        for (int64_t c = 0; c < columns; ++c) sum += from[c];
        float mean = sum / columns;
        #pragma omp simd reduction(+:squares)
        for (int64_t c = 0; c < columns; ++c) squares += (from[c] - mean) * (from[c] - mean);
        float scale = 1.0f / sqrtf(squares / columns + 1e-5f);
        #pragma omp simd
        for (int64_t c = 0; c < columns; ++c) {
            float v = (from[c] - mean) * scale * weight[c] + bias[c];
            float e = exp_(1.5957691216f * (v + 0.044715f * v * v * v));  // 2 sqrt(2 / pi)
            to[c] = v * (e / (1.0f + e));
        }
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.norm_weight = torch.nn.Parameter(0.5 + torch.rand(columns))
        self.norm_bias = torch.nn.Parameter(torch.randn(columns))

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.layernorm_gelu(x, self.norm_weight, self.norm_bias, y, x.shape[0], x.shape[1])
        return y
