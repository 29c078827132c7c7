import torch

CPP = r"""
#include <cstdint>

extern "C" void bias_hardswish_residual(const float* x, const float* bias, float* y, int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; ++r) {
        #pragma omp simd
        for (int64_t c = 0; c < columns; ++c) {
            float v = x[r * columns + c] + bias[c];
            float gate = v + 3.0f;
            gate = gate < 0.0f ? 0.0f : gate;
            gate = gate > 6.0f ? 6.0f : gate;
            y[r * columns + c] = v * gate * (1.0f / 6.0f) + x[r * columns + c];
        }
    }
}
"""


class ModelNew(torch.nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.randn(columns))

    def forward(self, x):
        y = torch.empty_like(x)
        kernels.bias_hardswish_residual(x, self.bias, y, x.shape[0], x.shape[1])
        return y
