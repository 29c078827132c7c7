"""One exponential in place of three functions: tanh(log(1 + e)) is rational in e."""

import torch

CPP = r"""
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

extern "C" void mish(const float* x, float* y, int64_t count) {
    #pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
        float v = x[i], e = exp_(v > 20.0f ? 20.0f : v);
        float t = e * (e + 2.0f);  // tanh(log(1 + e)) = t / (t + 2)
        y[i] = v * t / (t + 2.0f);
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.mish(x, y, x.numel())
        return y
