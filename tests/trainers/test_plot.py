"""Curves of a run as files."""

from __future__ import annotations

from pathlib import Path

import pytest

from trainers.metrics import MetricsLog
from trainers.plot import draw, smoothed
from trainers.plugged import BadConfig


def written(directory: Path, steps: int) -> Path:
    directory.mkdir()
    log = MetricsLog(directory / "metrics.jsonl")
    for step in range(steps):
        row = {"reward/mean": step / 10, "episode/success": step / 10, "policy/mismatch_mean_nats": 1e-7}
        if step % 2 == 0:
            row |= {"eval/success": 0.5, "eval/success_low": 0.4, "eval/success_high": 0.6}
        log.write(step, row)
    log.close()
    return directory


def test_runs_are_drawn_as_png_and_svg(tmp_path: Path) -> None:
    runs = [written(tmp_path / "first", 5), written(tmp_path / "second", 3)]
    paths = draw(runs)
    assert paths == [runs[0] / "curve.png", runs[0] / "curve.svg"]
    assert paths[0].read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in paths[1].read_text()
    assert draw(runs[1:], tmp_path / "deep" / "er.png")[1] == tmp_path / "deep" / "er.svg"


def test_one_step_without_any_metric_of_a_panel_is_drawn_too(tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "metrics.jsonl").write_text('{"step": 0}\n')
    assert all(path.exists() for path in draw([tmp_path / "r"]))


def test_a_run_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="no metrics yet"):
        draw([tmp_path])


def test_smoothing_has_no_bias_at_the_beginning() -> None:
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    assert smoothed([0.0, 1.0])[1] == pytest.approx(0.2 / 0.36)
