"""Learning curves as files: reward, success with held-out intervals, entropy, trainer/sampler mismatch.

Rule: only what metrics.jsonl holds is drawn, and a thin line is the raw number behind a smoothed one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from trainers import metrics
from trainers.plugged import BadConfig
from trainers.run import Run

__all__ = ["draw", "smoothed"]

_SMOOTHING = 0.8
"""Weight of the past in the thick line."""


def draw(runs: Sequence[Path], out: Path | None = None) -> list[Path]:
    """One picture of all runs as PNG and SVG, and their paths.

    `out` is a path whose suffix is replaced; none: `curve` in the first run's directory. Raises BadConfig where a
    run has no metrics.
    """
    histories = {}
    for directory in runs:
        path = Run(directory).metrics
        rows = list(metrics.read(path)) if path.exists() else []
        if not rows:
            raise BadConfig(f"'{directory}' has no metrics yet; is it a run's directory?")
        histories[directory.name if directory.name not in histories else str(directory)] = rows
    figure = Figure(figsize=(11, 7), layout="constrained")
    panels = figure.subplots(2, 2)
    for index, (name, rows) in enumerate(histories.items()):
        colour = f"C{index}"
        _curve(panels[0, 0], rows, "reward/mean", colour, name)
        _curve(panels[0, 1], rows, "episode/success", colour, f"{name}, while learning")
        _held_out(panels[0, 1], rows, colour, f"{name}, held-out (95 %)")
        _curve(panels[1, 0], rows, "policy/entropy_nats", colour, name)
        _curve(panels[1, 1], rows, "policy/mismatch_mean_nats", colour, name)
    for panel, title, unit in (
        (panels[0, 0], "reward", "mean raw return"),
        (panels[0, 1], "success", "share of episodes"),
        (panels[1, 0], "entropy", "nats a token"),
        (panels[1, 1], "trainer/sampler mismatch", "mean |log-probability gap|, nats"),
    ):
        panel.set(title=title, ylabel=unit, xlabel="step")
        panel.grid(alpha=0.3)
        if panel.lines or panel.containers:
            panel.legend(fontsize=8)
    panels[0, 1].set_ylim(-0.02, 1.02)
    if any(row.get("policy/mismatch_mean_nats", 0) > 0 for rows in histories.values() for row in rows):
        panels[1, 1].set_yscale("log")
    target = out or runs[0] / "curve"
    target.parent.mkdir(parents=True, exist_ok=True)
    paths = [target.with_suffix(suffix) for suffix in (".png", ".svg")]
    for path in paths:
        figure.savefig(path, dpi=120)
    return paths


def smoothed(values: Sequence[float]) -> list[float]:
    """Exponential moving average without bias at the beginning."""
    out: list[float] = []
    total = weight = 0.0
    for value in values:
        total = _SMOOTHING * total + (1 - _SMOOTHING) * value
        weight = _SMOOTHING * weight + (1 - _SMOOTHING)
        out.append(total / weight)
    return out


def _curve(panel: Any, rows: Sequence[Mapping[str, float]], name: str, colour: str, label: str) -> None:
    found = [(row["step"], row[name]) for row in rows if name in row]
    if not found:
        return
    steps, values = zip(*found, strict=True)
    panel.plot(steps, values, color=colour, alpha=0.3, linewidth=0.8)
    panel.plot(steps, smoothed(values), color=colour, label=label, marker="." if len(found) == 1 else None)


def _held_out(panel: Any, rows: Sequence[Mapping[str, float]], colour: str, label: str) -> None:
    found = [row for row in rows if "eval/success" in row]
    if not found:
        return
    values = [row["eval/success"] for row in found]
    below = [row["eval/success"] - row["eval/success_low"] for row in found]
    above = [row["eval/success_high"] - row["eval/success"] for row in found]
    steps = [row["step"] for row in found]
    panel.errorbar(steps, values, yerr=(below, above), color=colour, label=label, marker="o", linestyle="--", capsize=3)
