"""The hand-written solutions are what they are kept for: read, compiled, right, and faster than the reference."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

pytest.importorskip("torch", reason="needs the extra [kernel]")

from envserver.envs._kernel import problems
from envserver.envs._kernel.compiling import wanted
from envserver.envs._kernel.evaluate import Plan, evaluate, missing
from envserver.envs._kernel.lint import check
from envserver.envs._kernel.verdict import Verdict

KEYS = sorted(f"suite/{path.parent.name}/{path.stem}" for path in problems.GOLD.glob("level*/*.py"))
QUICK = ("suite/level1/local_response_norm", "suite/level2/residual_rms_norm", "suite/level3/selective_scan")
"""Evaluated by default; all are, and their speed, by `make test-slow`."""

runs = pytest.mark.skipif(bool(missing(Plan())), reason=missing(Plan()) or "")


@pytest.fixture(autouse=True, scope="module")
def _closed() -> Iterator[None]:
    yield
    from envserver.sandboxes._stage.client import close_all

    close_all()


def judged(key: str, plan: Plan) -> Verdict:
    return evaluate(problems.problem(key, "cpu").source, f"```python\n{problems.gold(key)}```", plan)


def test_every_solution_is_of_a_problem_and_is_let_through() -> None:
    assert len(KEYS) >= 20
    for key in KEYS:
        assert problems.problem(key, "cpu").source
        assert wanted(check(problems.gold(key) or "", "cpp"), "cpp"), key


@runs
@pytest.mark.parametrize("key", QUICK)
def test_a_solution_is_right(key: str) -> None:
    verdict = judged(key, Plan(trials=2, rounds=3, compile_s=30))
    assert verdict.good, verdict.message


@runs
@pytest.mark.slow
@pytest.mark.parametrize("key", KEYS)
def test_a_solution_is_right_and_faster(key: str) -> None:
    verdict = judged(key, Plan(compile_s=60, total_s=60))
    assert verdict.good, verdict.message
    assert verdict.speedup is not None
    assert verdict.speedup > 1, verdict.message
