"""What a player is told of each language: how a submission is written, and what it may not hold."""

from __future__ import annotations

__all__ = ["CONTRACTS"]

COMMON = """\
ModelNew is a torch.nn.Module with Model's arguments in __init__ and forward; parameters are made in the same order,
since both are seeded alike. Outputs are new, dense tensors of the reference's shape and dtype; inputs stay as they are.
Each call has other inputs in the same memory. It may import torch, math, typing, functools, itertools, dataclasses,
collections and numpy{more}. Files, processes, threads, clocks, try statements and global settings are refused."""

PLAIN = """\
The native source is a string {name} at module level with extern "C" functions; it is compiled with {compiler}, and
FLAGS = [...] may add flags such as {flags}. Call them as kernels.NAME(...): a pointer takes a contiguous tensor of its
type, a number an int or float.

```python
import torch

{name} = r\"\"\"
#include <cstdint>
{source}
\"\"\"

class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.scaled(x, y, x.numel(), 2.0)
        return y
```"""

CPP = """\
extern "C" void scaled(const float* x, float* y, int64_t n, float factor) {
    for (int64_t i = 0; i < n; ++i) y[i] = factor * x[i];
}"""

CUDA = """\
__global__ void scaled_kernel(const float* x, float* y, int64_t n, float factor) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] = factor * x[i];
}
extern "C" void scaled(const float* x, float* y, int64_t n, float factor) {
    scaled_kernel<<<(n + 255) / 256, 256>>>(x, y, n, factor);
}"""

HOW: dict[str, str] = {
    "cpp": PLAIN.format(
        name="CPP",
        compiler="g++ -O3 -march=native -fopenmp -std=c++17",
        flags='"-ffast-math" or "-funroll-loops"',
        source=CPP,
    ),
    "cuda": PLAIN.format(name="CUDA", compiler="nvcc -O3 -std=c++17", flags='"--use_fast_math"', source=CUDA),
    "triton": "Kernels are functions decorated with @triton.jit, launched as kernel[grid](...).",
    "numba": "Kernels are functions decorated with @numba.njit. They take NumPy arrays, as tensor.numpy() gives.",
    "torch": "It is written in torch alone.",
}
MORE = {"triton": ", triton", "numba": ", numba"}
CONTRACTS = {language: f"{how}\n\n{COMMON.format(more=MORE.get(language, ''))}" for language, how in HOW.items()}
"""Language -> what is told."""
