"""The table of metrics, and the file they are written to."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from trainers.metrics import MetricsLog, UndeclaredMetric, declare, metrics_markdown, read


def test_an_undeclared_name_is_an_error_here_and_is_logged_all_the_same(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    with pytest.warns(UndeclaredMetric, match="reward/meen"):
        log.write(1, {"reward/meen": 1.0})
    assert list(read(log.path)) == [{"step": 1, "reward/meen": 1.0}]
    log.close()


def test_a_value_that_is_not_finite_is_null_and_the_file_stays_json(tmp_path: Path) -> None:
    log = MetricsLog(tmp_path / "metrics.jsonl")
    log.write(1, {"reward/mean": math.nan, "reward/std": math.inf, "loss/policy": 0.5})
    log.close()
    assert json.loads(log.path.read_text()) == {"step": 1, "reward/mean": None, "reward/std": None, "loss/policy": 0.5}
    assert list(read(log.path)) == [{"step": 1, "loss/policy": 0.5}]


def test_going_on_drops_later_rows_and_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "metrics.jsonl"
    log = MetricsLog(path)
    for step in range(6):
        log.write(step, {"reward/mean": float(step)})
    log.close()
    with path.open("a") as torn:
        torn.write('{"step": 6, "reward/me')
    again = MetricsLog(path, last_step=3)
    again.write(4, {"reward/mean": 40.0})
    again.close()
    assert [(row["step"], row["reward/mean"]) for row in read(path)] == [(0, 0), (1, 1), (2, 2), (3, 3), (4, 40)]


def test_a_name_cannot_be_declared_with_two_meanings() -> None:
    declare("reward/mean", "reward", "mean raw return of the step's valid episodes")
    with pytest.raises(ValueError, match="already declared"):
        declare("reward/mean", "reward", "something else")


def test_the_page_names_every_metric_with_its_unit() -> None:
    page = metrics_markdown()
    assert "| `policy/mismatch_mean_nats` | nats |" in page
    assert "| `alarm/entropy` | flag |" in page
