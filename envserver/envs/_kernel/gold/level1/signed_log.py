"""One pass where eager takes four; the logarithm is a polynomial that the compiler can widen."""

import torch

CPP = r"""
#include <cstdint>
#include <cstring>

static inline float log_(float x) {  // of positive, normal numbers
    int32_t bits;
    memcpy(&bits, &x, 4);
    int32_t power = (bits - 0x3f3504f3) >> 23;  // the rest lies around one
    bits -= power << 23;
    float m, e = (float)power;
    memcpy(&m, &bits, 4);
    m -= 1.0f;
    float z = m * m, p = 7.0376836292e-2f;
    p = p * m - 1.1514610310e-1f;
    p = p * m + 1.1676998740e-1f;
    p = p * m - 1.2420140846e-1f;
    p = p * m + 1.4249322787e-1f;
    p = p * m - 1.6668057665e-1f;
    p = p * m + 2.0000714765e-1f;
    p = p * m - 2.4999993993e-1f;
    p = p * m + 3.3333331174e-1f;
    return m + (p * m * z - e * 2.12194440e-4f - 0.5f * z) + e * 0.693359375f;
}

extern "C" void signed_log(const float* x, float* y, int64_t count) {
    #pragma omp simd
    for (int64_t i = 0; i < count; ++i) {
        float v = x[i], size = v < 0.0f ? -v : v, whole = 1.0f + size;
        float found = log_(whole) + (size - (whole - 1.0f)) / whole;  // what was rounded off comes back
        y[i] = v < 0.0f ? -found : found;
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.signed_log(x, y, x.numel())
        return y
