"""Curves of a run as files."""

from __future__ import annotations

import json
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


def test_runs_that_differ_in_their_seed_are_one_curve(tmp_path: Path) -> None:
    runs = [written(tmp_path / name, steps) for name, steps in (("grpo-s1", 5), ("grpo-s2", 3), ("ppo-s1", 4))]
    for run, seed, algorithm in zip(runs, (1, 2, 1), ("grpo", "grpo", "ppo"), strict=True):
        config = {"name": run.name, "dir": str(tmp_path), "seed": seed, "env": {"name": "keydoor"}}
        (run / "config.json").write_text(json.dumps(config | {"algorithm": {"name": algorithm}}))
    _, svg = draw(runs, tmp_path / "out", shown=("episode/success",), by_seed=True)
    told = svg.read_text()
    assert "grpo, 2 seeds" in told
    assert "ppo-s1" in told
    assert "grpo-s1" not in told
    assert told.count("<!-- held-out -->") == 1, "what is dashed is said once, for all curves"


def test_a_metric_that_no_run_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="no run has logged 'reward/meen'"):
        draw([written(tmp_path / "r", 2)], shown=("reward/meen",))


def test_a_run_without_metrics_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadConfig, match="no metrics yet"):
        draw([tmp_path])


def test_smoothing_has_no_bias_at_the_beginning() -> None:
    assert smoothed([2.0, 2.0, 2.0]) == pytest.approx([2.0, 2.0, 2.0])
    assert smoothed([0.0, 1.0])[1] == pytest.approx(0.2 / 0.36)
