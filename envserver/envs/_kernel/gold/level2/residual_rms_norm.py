import torch

CPP = r"""
#include <cmath>
#include <cstdint>

extern "C" void residual_rms_norm(const float* x, const float* residual, const float* weight, float* total, float* y,
                                  int64_t rows, int64_t columns) {
    for (int64_t r = 0; r < rows; ++r) {
        int64_t at = r * columns;
        float sum = 0.0f;
        #pragma omp simd reduction(+:sum)
        for (int64_t c = 0; c < columns; ++c) {
            float v = x[at + c] + residual[at + c];
            total[at + c] = v;
            sum += v * v;
        }
        float scale = 1.0f / sqrtf(sum / columns + 1e-6f);
        #pragma omp simd
        for (int64_t c = 0; c < columns; ++c) y[at + c] = total[at + c] * scale * weight[c];
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, columns):
        super().__init__()
        self.norm_weight = torch.nn.Parameter(0.5 + torch.rand(columns))

    def forward(self, x, residual):
        total, y = torch.empty_like(x), torch.empty_like(x)
        kernels.residual_rms_norm(x, residual, self.norm_weight, total, y, x.shape[0], x.shape[1])
        return total, y
