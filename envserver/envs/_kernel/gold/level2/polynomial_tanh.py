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

extern "C" void polynomial_tanh(const float* x, const float* a, float* y, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; ++r) {
        const float* from = x + r * columns;
        float* to = y + r * columns;
        #pragma omp simd
        for (int64_t c = 0; c < columns; ++c) {
            float v = from[c], p = a[5 * columns + c];
            p = p * v + a[4 * columns + c];
            p = p * v + a[3 * columns + c];
            p = p * v + a[2 * columns + c];
            p = p * v + a[columns + c];
            p = p * v + a[c];
            to[c] = 1.0f - 2.0f / (1.0f + exp_(2.0f * p));
        }
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.coefficients = torch.nn.Parameter(0.3 * torch.randn(6, columns))

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.polynomial_tanh(x, self.coefficients, y, x.shape[0], x.shape[1])
        return y
