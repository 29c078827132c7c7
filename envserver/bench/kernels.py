"""How many kernels are evaluated in a minute: one after another, beside each other, and with a process for each."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

from envserver.bench.report import Cell, Table, cores
from envserver.envs._kernel.evaluate import Plan, evaluate, missing
from envserver.envs._kernel.problems import gold, names, problem
from envserver.sandboxes._stage.client import close_all

__all__ = ["measure"]

SLOWEST = 3
"""How many are evaluated by a process that is started for each."""


def measure(quick: bool) -> list[Table]:
    """Evaluations a minute of gold solutions, compiled beforehand and anew. Raises RuntimeError where one is wrong."""
    plan = Plan(spare=len(cores()))
    if why := missing(plan):
        return [Table("Kernels", f"Left out: {why}.", ("how",), [])]
    keys = [key for split in ("train", "valid", "test") for key in names(split) if gold(key)][:: 8 if quick else 3]
    count = 8 if quick else 24
    work = [keys[number % len(keys)] for number in range(count)]

    def one(key: str, comment: str = "") -> None:
        code = f"{comment}\n{gold(key)}".replace('r"""', f'r"""// {comment}', 1)
        verdict = evaluate(
            problem(key, "cpu").source, f"```python\n{code}```", replace(plan, total_s=120, compile_s=60)
        )
        if not verdict.good:
            raise RuntimeError(f"the gold solution of {key} is {verdict.error_kind}: {verdict.message}")

    def many(call: Callable[[int], None]) -> float:
        began = time.perf_counter()
        with ThreadPoolExecutor(len(cores())) as threads:
            list(threads.map(call, range(count)))
        return 60 * count / (time.perf_counter() - began)

    for key in keys:
        one(key)
    rows: list[tuple[Cell, ...]] = []
    began = time.perf_counter()
    for key in work[:SLOWEST]:
        close_all()
        one(key)
    rows.append(("a process that imports torch for each", 60 * SLOWEST / (time.perf_counter() - began), None))
    one(keys[0])
    times = []
    for number, fresh in enumerate((False, True)):
        began = time.perf_counter()
        for at, key in enumerate(work):
            one(key, f"# {time.time_ns()} {at}" if fresh else "")
        times.append(60 * count / (time.perf_counter() - began))
        rows.append((("one after another", "one after another, each compiled")[number], times[-1], 1.0))
    rows.append(("beside each other", rate := many(lambda at: one(work[at])), rate / times[0]))
    rate = many(lambda at: one(work[at], f"# {time.time_ns()} {at}"))
    rows.append(("beside each other, each compiled", rate, rate / times[1]))
    close_all()
    return [
        Table(
            "Kernels",
            f"Evaluations a minute of {len(keys)} gold solutions in `cpp`: read, compiled or found, {plan.trials} "
            f"calls with usual inputs and {plan.twisted} with others compared, looked at without their kernels, "
            f"{plan.rounds} paired rounds timed. Beside each other: {len(cores())} at once; timing is one at a time.",
            ("how", "evaluations/min", "of one after another"),
            rows,
        )
    ]
