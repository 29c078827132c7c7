"""What torch's `load_inline` asks for: compiled from torch's headers, loaded, judged and timed as anything else."""

from __future__ import annotations

import pytest

from envserver import Action, Task
from envserver.envs._kernel import problems
from envserver.envs._kernel.evaluate import Plan, evaluate, missing
from envserver.envs.kernel import Kernel

KEY = "suite/level2/scale_clamp_silu_sum"
runs = pytest.mark.skipif(bool(missing(Plan())), reason=missing(Plan()) or "")

INLINE = """
import torch
from torch.utils.cpp_extension import load_inline

SOURCE = r\"\"\"
#include <cmath>
torch::Tensor fused(torch::Tensor x, double scale, double low, double high) {
    auto y = torch::empty({x.size(0), 1}, x.options());
    const float* from = x.data_ptr<float>();
    for (int64_t r = 0; r < x.size(0); ++r) {
        float sum = 0;
        for (int64_t c = 0; c < x.size(1); ++c) {
            float v = std::min(std::max(from[r * x.size(1) + c] * (float)scale, (float)low), (float)high);
            sum += v / (1.0f + expf(-v));
        }
        y.data_ptr<float>()[r] = sum;
    }
    return y;
}
torch::Tensor handed(torch::Tensor x, double scale, double low, double high) {
    auto y = torch::maximum(torch::minimum(x * scale, torch::full({}, high)), torch::full({}, low));
    return torch::silu(y).mean(1, true) * x.size(1);
}
\"\"\"
fused = load_inline(name="fused", cpp_sources=SOURCE, functions=["fused", "handed"], extra_cflags=["-O3"])

class ModelNew(torch.nn.Module):
    def __init__(self, scale, low, high):
        super().__init__()
        self.scale, self.low, self.high = scale, low, high

    def forward(self, x):
        return fused.fused(x, self.scale, self.low, self.high)
"""
"""Two functions in torch's own headers: one that works, and one that has torch do the work."""


@pytest.fixture(autouse=True, scope="module")
def _closed():
    yield
    from envserver.sandboxes._stage.client import close_all

    close_all()


def fenced(code: str) -> str:
    return f"```python\n{code}\n```\n"


@runs
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_what_load_inline_asks_for_is_compiled_loaded_judged_and_timed() -> None:
    env = Kernel(Kernel.Config(attempts=3, compile_s=300, total_s=60))
    env.reset(Task(env="kernel", key=KEY))
    right = env.step(Action(text=fenced(INLINE)))
    assert right.info["error_kind"] == "", right.observation.text
    assert right.info["correct"]
    assert right.info["speedup"] > 0.1
    assert right.info["coverage"] > 0.5
    assert right.reward == pytest.approx(1 + min(3.0, right.info["speedup"]))
    # The library is in the cache: what is around it decides.
    wrong = env.step(Action(text=fenced(INLINE.replace("(x, self.scale", "(x, 2 * self.scale"))))
    assert wrong.info["error_kind"] == "values"
    assert wrong.reward == 0
    handed = env.step(Action(text=fenced(INLINE.replace("fused.fused(", "fused.handed("))))
    assert handed.info["error_kind"] == "decoy" or handed.info["coverage"] < 0.2, handed.observation.text


@runs
def test_load_inline_without_the_time_for_it_is_told_what_to_do() -> None:
    verdict = evaluate(
        problems.problem(KEY, "cpu").source, fenced(INLINE.replace("expf", "std::exp")), Plan(compile_s=1)
    )
    assert verdict.error_kind == "compile_timeout"
    assert "CPP" in verdict.message
