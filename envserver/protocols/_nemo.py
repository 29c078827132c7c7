"""NeMo Gym's aggregate of verify responses: what its own says of each number, by task and in all."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, median, stdev
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

__all__ = ["AGGREGATED", "Aggregated", "aggregated"]

TASK = "_ng_task_index"
ROLLOUT = "_ng_rollout_index"


class Aggregated(BaseModel):
    """Body of `/aggregate_metrics`."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    verify_responses: Annotated[list[dict[str, Any]], Field(max_length=1_000_000)]


AGGREGATED = TypeAdapter(Aggregated)


def aggregated(asked: Aggregated) -> dict[str, Any]:
    """Mean, median, spread and range of every number, by task and in all; samples that are masked are left out."""
    counted = [one for one in asked.verify_responses if one.get("mask_sample") is not True]
    tasks: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for one in counted:
        task = one.get(TASK, 0)
        tasks[task if isinstance(task, int) else 0].append(one)
    overall = _described(counted)
    return {
        "group_level_metrics": [{**_described(rows), TASK: task} for task, rows in sorted(tasks.items())],
        "agent_metrics": overall,
        "key_metrics": {name: value for name, value in overall.items() if name.startswith("mean/")},
    }


def _described(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    numbers: dict[str, list[float]] = defaultdict(list)
    for row in rows:
        for name, value in row.items():
            if name not in (TASK, ROLLOUT) and isinstance(value, (int, float)) and not isinstance(value, bool):
                numbers[name].append(float(value))
    described: dict[str, float] = {}
    for name, values in numbers.items():
        described |= {
            f"mean/{name}": fmean(values),
            f"median/{name}": median(values),
            f"std/{name}": stdev(values) if len(values) > 1 else 0.0,
            f"min/{name}": min(values),
            f"max/{name}": max(values),
        }
    return described
