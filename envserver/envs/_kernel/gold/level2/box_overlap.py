"""The boxes' sides are laid out one after the other first, so that a row of pairs is widened."""

import torch

CPP = r"""
#include <cstdint>

extern "C" void box_overlap(const float* a, const float* b, float* y, float* columns, int64_t left, int64_t right) {
    float *x0 = columns, *y0 = x0 + right, *x1 = y0 + right, *y1 = x1 + right, *area = y1 + right;
    for (int64_t j = 0; j < right; ++j) {
        x0[j] = b[4 * j];
        y0[j] = b[4 * j + 1];
        x1[j] = b[4 * j] + b[4 * j + 2];
        y1[j] = b[4 * j + 1] + b[4 * j + 3];
        area[j] = b[4 * j + 2] * b[4 * j + 3];
    }
    for (int64_t i = 0; i < left; ++i) {
        float ax0 = a[4 * i], ay0 = a[4 * i + 1], ax1 = ax0 + a[4 * i + 2], ay1 = ay0 + a[4 * i + 3];
        float own = a[4 * i + 2] * a[4 * i + 3];
        #pragma omp simd
        for (int64_t j = 0; j < right; ++j) {
            float w = (ax1 < x1[j] ? ax1 : x1[j]) - (ax0 > x0[j] ? ax0 : x0[j]);
            float h = (ay1 < y1[j] ? ay1 : y1[j]) - (ay0 > y0[j] ? ay0 : y0[j]);
            float shared = (w > 0.0f ? w : 0.0f) * (h > 0.0f ? h : 0.0f);
            y[i * right + j] = shared / (own + area[j] - shared);
        }
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def forward(self, a, b):
        y, columns = torch.empty(a.shape[0], b.shape[0]), torch.empty(5, b.shape[0])
        kernels.box_overlap(a, b, y, columns, a.shape[0], b.shape[0])
        return y
