"""The kernel world: problems, what is read without being run, and what an attempt is told."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from envserver import Action, Task
from envserver.envs._kernel import compiling, lint, problems
from envserver.envs._kernel.evaluate import Plan, evaluate, missing
from envserver.envs._kernel.verdict import Rejected
from envserver.envs.kernel import Kernel

KEY = "suite/level2/scale_clamp_silu_sum"
GOLD = problems.gold(KEY) or ""
SOURCE = problems.problem(KEY, "cpu").source.replace("ROWS = 512", "ROWS = 64")
runs = pytest.mark.skipif(bool(missing(Plan())), reason=missing(Plan()) or "")
MINIMAL = "import torch\nclass ModelNew(torch.nn.Module):\n    def forward(self, x):\n        return x\n"


@pytest.fixture(autouse=True, scope="module")
def _closed():
    yield
    from envserver.sandboxes._stage.client import close_all

    close_all()


def refused(answer: str, language: str = "torch") -> tuple[str, str]:
    try:
        code = lint.block(answer)
        compiling.wanted(lint.check(code, language), language)
    except Rejected as error:
        return error.kind, str(error)
    raise AssertionError("it was let through")


def fenced(code: str) -> str:
    return f"Here it is.\n```python\n{code}\n```\n"


def opened(**options) -> Kernel:
    env = Kernel(Kernel.Config(trials=1, rounds=3, **options))
    env.reset(Task(env="kernel", key=KEY))
    return env


class TestProblems:
    def test_a_size_is_that_of_its_device(self) -> None:
        source = "A = 8\nB = 9\nCPU = dict(A=2)\nGPU = dict(A=16,\n           B=32)\n\n\nclass Model: ...\n"
        assert problems.sized(source, "cpu") == "A = 2\nB = 9\n\n\nclass Model: ...\n"
        assert problems.sized(source, "cuda") == "A = 16\nB = 32\n\n\nclass Model: ...\n"

    def test_a_size_of_nothing_is_refused(self) -> None:
        with pytest.raises(ValueError, match="names 'C'"):
            problems.sized("A = 8\nCPU = dict(C=2)\n", "cpu")

    def test_a_file_without_tables_is_as_it_was(self) -> None:
        assert problems.sized("A = 8\nB = A * 2\n", "cpu") == "A = 8\nB = A * 2\n"

    def test_splits_share_no_problem_and_every_problem_can_be_sized(self) -> None:
        keys = [key for split in Kernel.splits for key in problems.names(split)]
        assert len(set(keys)) == len(keys)
        for key in keys:
            for device in ("cpu", "cuda"):
                text = problems.problem(key, device).source
                assert "class Model" in text
                assert "CPU" not in text

    @pytest.mark.parametrize(
        "key", ["", "suite/level2/nowhere", "suite/level2/../x", "level1/relu", "suite/level0/relu"]
    )
    def test_a_key_of_nothing_is_refused(self, key: str) -> None:
        with pytest.raises(KeyError, match="keys look like"):
            problems.problem(key, "cpu")


class TestReading:
    @pytest.mark.parametrize(
        ("answer", "kind", "says"),
        [
            ("", "no_code", "no code block"),
            ("I would rather not.", "no_code", "no code block"),
            ("```python\nclass ModelNew:", "no_code", "not closed"),
            (fenced(MINIMAL) + fenced(MINIMAL), "many_blocks", "2 code blocks"),
            (fenced("#" * 200_000), "too_long", "at most 100000"),
            ("#" * (1 << 20), "too_long", "at most"),
            (fenced("class ModelNew(:\n"), "syntax", "Line 1"),
            (fenced("x = " + "(" * 5000), "syntax", ""),
            (fenced("x = '\0'"), "syntax", "NUL"),
            (fenced(MINIMAL.replace("ModelNew", "NewModel")), "no_model", "it defines NewModel"),
            (fenced("ModelNew = None"), "no_model", "no class ModelNew"),
            (fenced("class ModelNew:\n    pass"), "no_model", "forward"),
        ],
    )
    def test_what_is_no_submission_is_told_so(self, answer: str, kind: str, says: str) -> None:
        found, message = refused(answer)
        assert found == kind
        assert says in message

    def test_a_bare_answer_is_its_own_block(self) -> None:
        assert lint.block(MINIMAL) == MINIMAL
        assert lint.block(fenced(MINIMAL)).strip() == MINIMAL.strip()

    def test_a_language_demands_its_kernel(self) -> None:
        assert refused(fenced(MINIMAL), "cpp")[0] == "no_kernel"
        assert refused(fenced(MINIMAL), "triton")[0] == "no_kernel"
        assert refused(fenced(MINIMAL), "numba")[0] == "no_kernel"
        assert refused(fenced('CPP = "int f() { return 1; }"\n' + MINIMAL), "cpp")[0] == "no_kernel"

    def test_what_a_kernel_needs_may_be_named(self) -> None:
        source = (
            "#include <cmath>\n#include <omp.h>\n// fork() and open() in a comment\n"
            'extern "C" void f(const float* x, float* y, int64_t time) {\n#pragma omp simd\n'
            "for (int64_t i = 0; i < time; ++i) y[i] = std::exp(x[i]); }\n"
        )
        lint.check_native(source)

    def test_signatures_are_read_off_the_source(self) -> None:
        source = """
        // extern "C" void comment(float* x) {}
        static float helper(float a) { return a; }
        extern "C" void one(const float* __restrict__ x, float *y, int64_t n, unsigned char k, long long m) {
            if (n) { y[0] = x[0]; }
        }
        extern "C" {
            double two(size_t n) { return helper(n); }
            void three(const int32_t x[], bool* y) { for (;;) { break; } }
        }
        """
        found = {one["name"]: (one["arguments"], one["result"]) for one in compiling.signatures(source)}
        assert found == {
            "one": (["float*", "float*", "int64", "uint8", "int64"], "void"),
            "two": (["uint64"], "double"),
            "three": (["int32*", "bool*"], "void"),
        }

    def test_an_argument_that_cannot_be_passed_is_told(self) -> None:
        with pytest.raises(Rejected, match="cannot be passed"):
            compiling.signatures('extern "C" void f(std::vector<float> x) {}')

    def test_flags_are_of_a_list(self) -> None:
        code = 'FLAGS = ["-fplugin=x"]\nCPP = \'extern "C" void f(float* x) {}\'\n'
        with pytest.raises(Rejected, match="cannot be had"):
            compiling.wanted(lint.parsed(code), "cpp")

    def test_load_inline_is_read_without_being_run(self) -> None:
        code = (
            "from torch.utils.cpp_extension import load_inline\n"
            'S = "torch::Tensor f(torch::Tensor x) { return x; }"\n'
            'ext = load_inline(name="ext", cpp_sources=[S], functions=["f"])\n'
        )
        (library,) = compiling.wanted(lint.parsed(code), "cpp")
        assert library.kind == "inline"
        assert library.functions == ["f"]
        assert 'm.def("f", &f);' in library.source


class TestDifference:
    def test_the_tolerance_grows_with_what_is_expected_and_shrinks_with_small_outputs(self) -> None:
        torch = pytest.importorskip("torch")
        from envserver.envs._kernel.compare import difference

        def kind(given: list[float], expected: list[float], dtype: str = "float32") -> str:
            made = [torch.tensor(one, dtype=getattr(torch, dtype)) for one in (given, expected)]
            pair = [one.view(torch.uint8).numpy().tobytes() for one in made]
            return difference(pair[0], pair[1], dtype, {"float32": 1e-4, "float16": 1e-2})[0]

        assert kind([100.0, 1.0], [100.009, 1.0]) == ""  # 0.009 <= 1e-4 * (1 + 100.009)
        assert kind([100.0, 1.0], [100.011, 1.0]) == "values"
        assert kind([0.0, 0.0], [1e-5, -1e-5]) == "values"  # rms 1e-5: zeros are no answer to small numbers
        assert kind([float("nan"), 1.0], [1.0, 1.0]) == "nonfinite"
        assert kind([float("inf"), 1.0], [float("inf"), 1.0]) == ""
        assert kind([1.0, 1.0], [float("inf"), 1.0]) == "values"
        assert kind([1.0, 2.0], [1.015, 2.0], "float16") == ""
        assert kind([1.0, 2.0], [1.04, 2.0], "float16") == "values"


@runs
class TestAttempts:
    def test_a_kernel_is_correct_timed_and_rewarded(self) -> None:
        env = opened(attempts=2)
        result = env.step(Action(text=fenced(GOLD)))
        assert result.info["error_kind"] == "", result.observation.text
        assert result.info["correct"]
        assert result.info["speedup"] > 0.3
        assert 0 <= result.info["coverage"] <= 1
        assert result.info["speedup_low"] <= result.info["speedup"] <= result.info["speedup_high"]
        assert result.reward == pytest.approx(1 + min(3.0, result.info["speedup"]))
        assert not result.over
        wrong = env.step(Action(tool="submit", arguments={"code": GOLD.replace("sum += v", "sum -= v")}))
        assert wrong.over
        assert wrong.reward == 0
        assert wrong.info["error_kind"] == "values"
        assert wrong.info["best_attempt"] == 1
        assert "The best so far is attempt 1" in wrong.observation.text
        assert wrong.success == (result.info["speedup_low"] >= 1)

    def test_with_reward_best_an_episode_sums_to_its_best(self) -> None:
        env = opened(attempts=3, reward="best")
        rewards = [env.step(Action(text=text)).reward for text in ("nothing", fenced(GOLD), fenced(GOLD))]
        assert rewards[0] == 0
        assert sum(rewards) == pytest.approx(max(1 + min(3, one.speedup or 0) for one in env.verdicts if one.good))

    def test_the_same_source_is_compiled_once(self, tmp_path, monkeypatch) -> None:
        monkeypatch.setenv("TURNHALLE_CACHE", str(tmp_path))
        (library,) = compiling.wanted(lint.parsed(GOLD), "cpp")
        first = compiling.compiled(library, sandbox="namespace", timeout_s=30)
        again = compiling.compiled(library, sandbox="namespace", timeout_s=30)
        assert (first.cached, again.cached) == (False, True)
        assert first.path == again.path

    @pytest.mark.parametrize(
        ("change", "kind", "says"),
        [
            (("sum += v", "sum += w"), "compile", "w"),
            (("def forward(self, x):", "def forward(self):"), "signature", "forward()"),
            (("def __init__(self, scale, low, high):", "def __init__(self, scale):"), "signature", "__init__()"),
            (("self.high)\n        return y", "self.high)\n        return 1.0"), "output_type", "float"),
            (
                ("kernels.scale_clamp_silu_sum(x, y,", "kernels.scale_clamp_silu_sum(x.double(), y,"),
                "runtime",
                "float64",
            ),
            (
                ("kernels.scale_clamp_silu_sum(x, y,", "kernels.scale_clamp_silu_sum(x.t(), y,"),
                "runtime",
                "not contiguous",
            ),
            (("self.low, self.high)\n        return", "self.low)\n        return"), "runtime", "takes 7 arguments"),
            (("return y", "return torch.empty(1 << 36)"), "memory", "memory"),
            (("y[r] = sum;", "y[r] = 0.0f / 0.0f;"), "nonfinite", "NaN"),
        ],
    )
    def test_what_is_wrong_is_told(self, change: tuple[str, str], kind: str, says: str) -> None:
        assert change[0] in GOLD
        plan = Plan(trials=1, twisted=0, rounds=3, warmups=1)
        code = GOLD.replace(*change).replace('FLAGS = ["-ffast-math"]', "")
        verdict = evaluate(SOURCE, fenced(code), plan)
        assert verdict.error_kind == kind, verdict.message
        assert says in verdict.message

    def test_an_endless_compilation_is_ended(self) -> None:
        # Each is a new computation for the compiler, within its limits, of a hundredth of a second or more.
        asserts = "".join(f'static_assert(go({200_000 - k}) >= 0, "");' for k in range(600))
        go = "constexpr int go(int n) { int s = 0; for (int i = 0; i < n; ++i) s ^= i; return s; }\n"
        code = GOLD.replace("extern", f"{go}{asserts}\nextern", 1)
        verdict = evaluate(SOURCE, fenced(code), Plan(compile_s=0.3))
        assert verdict.error_kind == "compile_timeout", verdict.message

    def test_a_reference_that_fails_is_not_the_submission_s_fault(self) -> None:
        verdict = evaluate(SOURCE.replace("torch.clamp(", "torch.clump("), fenced(GOLD), Plan())
        assert verdict.error_kind == "reference"
        assert "clump" in verdict.message

    def test_the_process_that_evaluates_is_replaced_when_it_is_killed(self) -> None:
        from envserver.envs._kernel.evaluate import settings
        from envserver.sandboxes._stage.client import begin

        plan = Plan(trials=1, rounds=3)
        begin(settings(plan)).process.kill()
        assert evaluate(SOURCE, fenced(GOLD), plan).correct

    def test_a_gold_solution_is_the_expert_s(self) -> None:
        action = opened().expert()
        assert action is not None
        assert GOLD in action.text


@pytest.mark.gpu
def test_a_cuda_kernel_is_correct_and_timed() -> None:
    torch = pytest.importorskip("torch")
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    code = """
import torch
CUDA = r\"\"\"
#include <cstdint>
__global__ void relu_kernel(const float* x, float* y, int64_t n) {
    int64_t i = blockIdx.x * (int64_t)blockDim.x + threadIdx.x;
    if (i < n) y[i] = x[i] > 0 ? x[i] : 0;
}
extern "C" void relu(const float* x, float* y, int64_t n) { relu_kernel<<<(n + 255) / 256, 256>>>(x, y, n); }
\"\"\"
class ModelNew(torch.nn.Module):
    def forward(self, x):
        y = torch.empty_like(x)
        kernels.relu(x, y, x.numel())
        return y
"""
    source = problems.problem("suite/level1/relu", "cuda").source
    verdict = evaluate(
        source, fenced(code), Plan(language="cuda", device="cuda", tensors_bytes=4 << 30, memory_bytes=16 << 30)
    )
    assert verdict.good, verdict.message
    assert verdict.speedup is not None


@runs
@pytest.mark.slow
def test_nothing_is_left_of_a_process_that_is_killed_with_its_evaluator() -> None:
    program = (
        f"from envserver.envs._kernel.evaluate import *\nfrom envserver.envs._kernel.problems import *\n"
        f"p = problem({KEY!r}, 'cpu')\n"
        "print(evaluate(p.source, '```python\\n' + gold(p.key) + '```', Plan(total_s=60)).good, flush=True)\n"
        "import time; time.sleep(100)\n"
    )
    worker = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    assert worker.stdout is not None

    def left() -> int:
        pid = str(worker.pid).encode()
        told = [path.read_bytes().split(b"\0") for path in Path("/proc").glob("[0-9]*/cmdline") if path.exists()]
        return sum(pid in words and any(b"_stage.warm" in word for word in words) for words in told)

    assert worker.stdout.readline() == "True\n"
    assert left() > 1
    worker.kill()
    worker.wait()
    worker.stdout.close()
    for _ in range(100):
        if not left():
            break
        time.sleep(0.1)
    assert left() == 0
