"""The loop over time in the kernel, not in Python."""

import torch

CPP = r"""
#include <cstdint>

extern "C" void generalised_advantage(const float* reward, const float* value, float* y, int64_t rows, int64_t steps,
                                      float discount, float decay) {
    for (int64_t r = 0; r < rows; ++r) {
        int64_t at = r * steps;
        float after = 0.0f, advantage = 0.0f;
        for (int64_t t = steps - 1; t >= 0; --t) {
            float error = reward[at + t] + discount * after - value[at + t];
            advantage = error + discount * decay * advantage;
            after = value[at + t];
            y[at + t] = advantage;
        }
    }
}
"""

FLAGS = ["-fno-math-errno", "-fno-trapping-math"]


class ModelNew(torch.nn.Module):
    def __init__(self, discount, decay):
        super().__init__()
        self.discount, self.decay = discount, decay

    def forward(self, reward, value):
        y = torch.empty_like(reward)
        kernels.generalised_advantage(reward, value, y, *reward.shape, self.discount, self.decay)
        return y
