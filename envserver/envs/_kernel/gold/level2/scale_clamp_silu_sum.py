import torch

CPP = r"""
#include <cmath>
#include <cstdint>

extern "C" void scale_clamp_silu_sum(const float* x, float* y, int64_t rows, int64_t columns, float scale, float low,
                                     float high) {
    for (int64_t r = 0; r < rows; ++r) {
        const float* row = x + r * columns;
        float sum = 0.0f;
        #pragma omp simd reduction(+:sum)
        for (int64_t c = 0; c < columns; ++c) {
            float v = row[c] * scale;
            v = v < low ? low : v;
            v = v > high ? high : v;
            sum += v / (1.0f + expf(-v));
        }
        y[r] = sum;
    }
}
"""


FLAGS = ["-ffast-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, scale, low, high):
        super().__init__()
        self.scale, self.low, self.high = scale, low, high

    def forward(self, x):
        y = torch.empty(x.shape[0], 1)
        kernels.scale_clamp_silu_sum(x, y, x.shape[0], x.shape[1], self.scale, self.low, self.high)
        return y
