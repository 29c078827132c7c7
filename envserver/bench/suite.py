"""The kernel suite on this machine: what each reference takes, and how much faster the kept solutions are."""

from __future__ import annotations

from envserver.bench.apart import apart
from envserver.bench.references import Asked
from envserver.bench.report import Cell, Table
from envserver.envs._kernel.evaluate import Plan, evaluate, missing
from envserver.envs._kernel.problems import SHARES, gold, names, problem
from envserver.sandboxes._stage.client import close_all

__all__ = ["measure"]

LEVELS = {"level1": "single operators", "level2": "fused sequences", "level3": "small architectures"}
HEAD = ("problem", "what is computed", "MiB", "reference, ms", "quartiles, ms", "solution, times faster", "interval")


def measure(quick: bool) -> list[Table]:
    """A table a level. Raises RuntimeError where a kept solution is wrong."""
    plan = Plan(rounds=7 if quick else 25, compile_s=60, total_s=120)
    if why := missing(plan):
        return [Table("Kernel suite", f"Left out: {why}.", ("problem",), [])]
    keys = sorted(key for split in SHARES for key in names(split))[:: 15 if quick else 1]
    took = apart("envserver.bench.references", Asked(tuple(keys)), timeout_s=1800, env={"OMP_NUM_THREADS": "1"})
    rows: dict[str, list[tuple[Cell, ...]]] = {level: [] for level in LEVELS}
    for key in keys:
        level, name = key.split("/")[1:]
        one = took[key]
        spread = f"{one['low_ms']:.3g} to {one['high_ms']:.3g}"
        row: list[Cell] = [f"`{name}`", problem(key, "cpu").summary, one["size_bytes"] / (1 << 20)]
        rows[level].append((*row, one["median_ms"], spread, *_gain(key, plan)))
    close_all()
    return [Table(f"Kernel suite: {what}", _note(level), HEAD, rows[level]) for level, what in LEVELS.items()]


def _gain(key: str, plan: Plan) -> tuple[Cell, Cell]:
    """The kept solution's speed-up, and its interval."""
    code = gold(key)
    if code is None:
        return None, None
    verdict = evaluate(problem(key, "cpu").source, f"```python\n{code}```", plan)
    if not verdict.good or verdict.speedup is None:
        raise RuntimeError(f"the solution of {key} is {verdict.error_kind}: {verdict.message}")
    return verdict.speedup, f"{verdict.speedup_low:.2f} to {verdict.speedup_high:.2f}"


def _note(level: str) -> str:
    return (
        f"`suite/{level}/NAME`, one thread, CPU time. MiB: inputs and outputs of a call. A solution is measured by the "
        "evaluator beside its reference; the interval holds the median ratio in 95 of 100 cases."
    )
