"""Learning curves as files: any logged number over steps, success with held-out intervals.

Rule: only what metrics.jsonl holds is drawn. Of a single run a thin line is the raw number behind the smoothed one; of
runs that differ only in their seed the line is their mean and the band reaches from the least to the greatest of them.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from trainers import metrics
from trainers.plugged import BadConfig
from trainers.run import Run

__all__ = ["PANELS", "draw", "smoothed"]

PANELS = ("reward/mean", "episode/success", "policy/entropy_nats", "policy/mismatch_mean_nats")
"""What is drawn unless another metric is asked for."""
_SMOOTHING = 0.8
"""Weight of the past in the thick line."""
_HELD_OUT = "held-out"
_DASHED: dict[str, Any] = {"marker": "o", "linestyle": "--"}
_LOGARITHMIC = frozenset(("policy/mismatch_mean_nats",))

Rows = list[dict[str, float]]


@dataclass(frozen=True, slots=True)
class Curve:
    """One run, or several that are one experiment."""

    label: str
    runs: list[Rows]


def draw(
    runs: Sequence[Path], out: Path | None = None, *, shown: Sequence[str] = PANELS, by_seed: bool = False
) -> list[Path]:
    """One picture of all runs as PNG and SVG, a panel for each metric of `shown`; their paths.

    `by_seed` makes one curve of runs that differ only in their seed. `out` is a path whose suffix is replaced; none:
    `curve` in the first run's directory. Raises BadConfig where a run has no metrics, or none of them has a metric.
    """
    curves = _by_seed(runs) if by_seed else _each(runs)
    for name in shown:
        if name not in PANELS and not any(name in row for curve in curves for rows in curve.runs for row in rows):
            raise BadConfig(f"no run has logged '{name}'; docs/metrics.md has the names")
    across = 2 if len(shown) > 1 else 1
    down = -(-len(shown) // across)
    figure = Figure(figsize=(5.5 * across, 3.5 * down), layout="constrained")
    panels = figure.subplots(down, across, squeeze=False).flat
    for panel, name in zip(panels, shown, strict=False):
        for index, curve in enumerate(curves):
            _curve(panel, curve, name, f"C{index}")
        _dress(panel, name)
    for panel in list(panels):
        panel.set_axis_off()
    _explain(figure)
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


def _each(runs: Sequence[Path]) -> list[Curve]:
    names = [run.name for run in runs]
    return [Curve(run.name if names.count(run.name) == 1 else str(run), [_rows(run)]) for run in runs]


def _by_seed(runs: Sequence[Path]) -> list[Curve]:
    """Runs whose settings are the same but for the seed and the places they write to."""
    found: dict[str, list[Path]] = {}
    for run in runs:
        settings = Run(run).config()
        same = settings.model_dump(mode="json", exclude={"name", "dir", "seed", "store"})
        found.setdefault(str(same), []).append(run)
    return [Curve(_shared([run.name for run in group]), [_rows(run) for run in group]) for group in found.values()]


def _shared(names: Sequence[str]) -> str:
    """The first name without what numbers it: `grpo` of `grpo-s1` and `grpo-s2`."""
    if len(names) == 1:
        return names[0]
    return f"{re.sub(r'[-_.]*(s|seed)?[0-9]*$', '', names[0]) or names[0]}, {len(names)} seeds"


def _rows(run: Path) -> Rows:
    path = Run(run).metrics
    rows = list(metrics.read(path)) if path.exists() else []
    if not rows:
        raise BadConfig(f"'{run}' has no metrics yet; is it a run's directory?")
    return rows


def _curve(panel: Any, curve: Curve, name: str, colour: str) -> None:
    runs = [found for rows in curve.runs if (found := [(row["step"], row[name]) for row in rows if name in row])]
    if runs:
        lines = [
            dict(zip((step for step, _ in run), smoothed([value for _, value in run]), strict=True)) for run in runs
        ]
        steps = sorted({step for line in lines for step in line})
        at = [[line[step] for line in lines if step in line] for step in steps]
        mark = "." if len(steps) == 1 else None
        panel.plot(steps, [fmean(values) for values in at], color=colour, label=curve.label, marker=mark)
        if len(runs) == 1:
            panel.plot(*zip(*runs[0], strict=True), color=colour, alpha=0.3, linewidth=0.8)
        else:
            panel.fill_between(
                steps, [min(values) for values in at], [max(values) for values in at], color=colour, alpha=0.15
            )
    if name == "episode/success":
        _held_out(panel, curve, colour)


def _held_out(panel: Any, curve: Curve, colour: str) -> None:
    """Success on held-out tasks; the bar is the interval of the one run, or reaches over all of them."""
    found = [row for rows in curve.runs for row in rows if "eval/success" in row]
    if not found:
        return
    steps = sorted({row["step"] for row in found})
    at = [[row for row in found if row["step"] == step] for step in steps]
    low, high = ("eval/success_low", "eval/success_high") if len(curve.runs) == 1 else ("eval/success", "eval/success")
    values = [fmean(row["eval/success"] for row in rows) for rows in at]
    below = [value - min(row[low] for row in rows) for value, rows in zip(values, at, strict=True)]
    above = [max(row[high] for row in rows) - value for value, rows in zip(values, at, strict=True)]
    panel.errorbar(steps, values, yerr=(below, above), label=_HELD_OUT, capsize=3, color=colour, **_DASHED)


def _explain(figure: Figure) -> None:
    """One legend under the panels: each curve by its colour, and once what is dashed."""
    found = {
        label: line for panel in figure.axes for line, label in zip(*panel.get_legend_handles_labels(), strict=True)
    }
    if found.pop(_HELD_OUT, None):
        found[_HELD_OUT] = Line2D([], [], color="grey", **_DASHED)
    if found:
        figure.legend(found.values(), found.keys(), loc="outside lower center", ncols=min(4, len(found)), fontsize=8)


def _dress(panel: Any, name: str) -> None:
    unit = metrics.TABLE[name].unit if name in metrics.TABLE else ""
    panel.set(title=name, ylabel=unit, xlabel="step")
    panel.grid(alpha=0.3)
    if unit == "share":
        panel.set_ylim(-0.02, 1.02)
    if name in _LOGARITHMIC and any(value > 0 for line in panel.lines for value in line.get_ydata()):
        panel.set_yscale("log")
