"""Every problem of the suite can be played: small, deterministic, finite, and all of what goes in matters."""

from __future__ import annotations

import types
from collections.abc import Iterator
from time import process_time
from typing import Any

import pytest

from envserver.envs._kernel import problems
from envserver.envs._kernel.evaluate import Plan, evaluate, missing
from envserver.envs._kernel.problems import problem
from envserver.envs._kernel.tolerances import TOLERANCES
from envserver.sandboxes._stage.client import close_all

torch = pytest.importorskip("torch", reason="needs the extra [kernel]")

KEYS = sorted(key for split in problems.SHARES for key in problems.names(split))
SAMPLE = KEYS[::6]
"""Run by default; all are by `make test-slow`."""
PLAN = Plan(language="torch", trials=2, rounds=3, warmups=1, total_s=60)
MOST_ELEMENTS = 1 << 20
MOST_BYTES = {"cpu": 16 << 20, "cuda": 256 << 20}
"""Of inputs and outputs of one call."""
MOST_CPU_S = 1.0
LOOKED_AT = 1 << 16
"""Elements of an output among which equal ones are counted."""
MOST_ALIKE = 0.6
"""Share of an output's elements that may be one number, or the same for other inputs."""


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
    close_all()


class Read:
    """A problem's file, executed for a device."""

    def __init__(self, key: str, device: problems.Device = "cpu") -> None:
        module = types.ModuleType("reference")
        exec(compile(problem(key, device).source, f"{key}.py", "exec"), module.__dict__)
        self.module: Any = module

    def model(self, seed: int = 7) -> Any:
        torch.manual_seed(seed)
        return self.module.Model(*self.module.get_init_inputs())

    def inputs(self, seed: int) -> list[Any]:
        torch.manual_seed(seed)
        return list(self.module.get_inputs())


def outputs(model: Any, inputs: list[Any]) -> tuple[Any, ...]:
    with torch.no_grad():
        given = model(*inputs)
    return tuple(given) if isinstance(given, (tuple, list)) else (given,)


def size_bytes(tensors: list[Any]) -> int:
    return sum(one.numel() * one.element_size() for one in tensors)


def alike(some: tuple[Any, ...], others: tuple[Any, ...]) -> float:
    """The largest share of equal elements of any output."""
    return max((one == other).double().mean().item() for one, other in zip(some, others, strict=True))


def off(given: Any, exact: Any) -> float:
    """By how much the worst element is off, in the units of the tolerance."""
    exact = exact.double()
    rms = min(1.0, float(exact.square().mean().sqrt()))
    return float(((given.double() - exact).abs() / (rms + exact.abs())).max())


def sampled() -> list[Any]:
    return [pytest.param(key, marks=() if key in SAMPLE else pytest.mark.slow) for key in KEYS]


def test_there_are_a_hundred_problems_and_no_two_say_the_same() -> None:
    levels = [key.split("/")[1] for key in KEYS]
    assert len(KEYS) >= 100
    assert levels.count("level1") >= 45
    assert levels.count("level2") >= 45
    assert levels.count("level3") >= 15
    for key in KEYS:
        assert problem(key, "cpu").summary.endswith("."), key
    sources = {problem(key, "cpu").source.partition("class Model")[2] for key in KEYS}
    assert len(sources) == len(KEYS)


@pytest.mark.parametrize("key", sampled())
def test_a_problem_is_small_deterministic_and_depends_on_its_inputs(key: str) -> None:
    read = Read(key)
    model, inputs = read.model(), read.inputs(1)
    before = [one.clone() for one in inputs]
    began = process_time()
    given = outputs(model, inputs)
    assert process_time() - began < MOST_CPU_S
    assert all(torch.equal(one, other) for one, other in zip(inputs, before, strict=True))
    assert sum(one.numel() for one in inputs) <= MOST_ELEMENTS
    assert size_bytes([*inputs, *given]) <= MOST_BYTES["cpu"]
    for one in given:
        assert torch.ops.aten.is_non_overlapping_and_dense(one)
        assert one.isfinite().all()
        seen = one.flatten()[:: 1 + one.numel() // LOOKED_AT]
        assert torch.unique(seen, return_counts=True)[1].max() <= MOST_ALIKE * seen.numel()
    again = Read(key)
    repeated = outputs(again.model(), again.inputs(1))
    assert all(torch.equal(one, other) for one, other in zip(given, repeated, strict=True))
    assert alike(given, outputs(model, read.inputs(2))) <= MOST_ALIKE


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_on_a_gpu_a_problem_is_the_same_but_larger(key: str) -> None:
    pytest.importorskip("sympy", reason="torch's shapes without contents need it")
    here, there = Read(key), Read(key, "cuda")
    with torch.device("meta"):
        small_inputs, inputs = here.inputs(1), there.inputs(1)
        small, given = outputs(here.model(), small_inputs), outputs(there.model(), inputs)
    assert size_bytes([*inputs, *given]) <= MOST_BYTES["cuda"]
    assert size_bytes([*inputs, *given]) > size_bytes([*small_inputs, *small])
    assert [(one.dtype, one.dim()) for one in given] == [(one.dtype, one.dim()) for one in small]


@pytest.mark.slow
@pytest.mark.skipif(bool(missing(PLAN)), reason=missing(PLAN) or "")
@pytest.mark.parametrize("key", KEYS)
def test_the_evaluator_takes_a_problem_and_finds_its_own_reference_right(key: str) -> None:
    source = problem(key, "cpu").source
    verdict = evaluate(source, f"```python\n{source.replace('class Model(', 'class ModelNew(')}```", PLAN)
    assert verdict.good, verdict.message


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_every_input_and_every_parameter_matters(key: str) -> None:
    read = Read(key)
    model, inputs, others = read.model(), read.inputs(1), read.inputs(2)
    given = outputs(model, inputs)
    for at, other in enumerate(others):
        changed = outputs(model, [*inputs[:at], other, *inputs[at + 1 :]])
        assert min(alike((one,), (two,)) for one, two in zip(given, changed, strict=True)) <= MOST_ALIKE, at
    for name, parameter in model.named_parameters():
        kept = parameter.data.clone()
        spread = parameter.std() if parameter.numel() > 1 else 1.0
        parameter.data += 0.5 * spread * torch.randn_like(parameter) + 0.1
        changed = outputs(model, inputs)
        parameter.data = kept
        far = [
            (one.double() - two.double()).abs() > 1e-3 * (two.double().square().mean().sqrt().clamp(max=1) + two.abs())
            for one, two in zip(changed, given, strict=True)
        ]
        assert max(one.double().mean() for one in far) > 0.1, name


@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_single_precision_is_enough_for_inputs_of_any_distribution(key: str) -> None:
    """A kernel that adds in another order is right: the reference is within a third of the tolerance of exact."""
    from envserver.envs._kernel.player import _twisted

    read = Read(key)
    model, exact, usual = read.model(), Read(key).model().double(), read.inputs(1)
    torch.manual_seed(3)
    for inputs in (usual, [_twisted(one) for one in usual]):
        given = outputs(model, inputs)
        torch.set_default_dtype(torch.float64)
        try:
            wanted = outputs(exact, [one.double() if one.is_floating_point() else one for one in inputs])
        finally:
            torch.set_default_dtype(torch.float32)
        for one, true in zip(given, wanted, strict=True):
            assert one.isfinite().all()
            if one.is_floating_point():
                assert off(one, true) <= TOLERANCES["float32"] / 3
            else:
                assert torch.equal(one, true)
