"""What a person sees while a run goes on: a bar for what is under way, and a line a step.

Rule: on a terminal the bars are live; anywhere else only the lines are printed, so a log stays readable.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

__all__ = ["Bar", "Display"]

_LINE = (
    ("reward/mean", "reward {:.3f}"),
    ("episode/success", "success {:.0%}"),
    ("episode/turns", "turns {:.1f}"),
    ("policy/entropy_nats", "entropy {:.3f}"),
    ("policy/mismatch_mean_nats", "mismatch {:.1e}"),
    ("learner/grad_norm", "grad {:.2f}"),
    ("tokens/per_s", "{:.0f} tok/s"),
    ("time/step_s", "{:.1f} s"),
)


class Bar:
    """One thing under way."""

    def __init__(self, progress: Progress, title: str, total: int) -> None:
        self._progress = progress
        self._id = progress.add_task(title, total=total)

    def advance(self, n: int = 1) -> None:
        """So many more are done."""
        self._progress.advance(self._id, n)


class Display:
    """Prints to stderr; results that a program may read go to stdout elsewhere."""

    def __init__(self, console: Console | None = None, *, quiet: bool = False) -> None:
        self.console = console or Console(stderr=True, quiet=quiet, highlight=False)
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
            disable=quiet or not self.console.is_terminal,
        )

    def __enter__(self) -> Display:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    @contextmanager
    def bar(self, title: str, total: int) -> Iterator[Bar]:
        """A bar that is gone when the block ends."""
        bar = Bar(self._progress, title, total)
        try:
            yield bar
        finally:
            self._progress.remove_task(bar._id)

    def say(self, text: str) -> None:
        """One line."""
        self.console.print(text, markup=False, soft_wrap=True)

    def alarm(self, text: str) -> None:
        """One line that must not be overlooked."""
        self.console.print(f"ALARM {text}", markup=False, style="bold red", soft_wrap=True)

    def step(self, step: int, steps: int, metrics: Mapping[str, float]) -> None:
        """The line of one step."""
        parts = [form.format(metrics[name]) for name, form in _LINE if name in metrics]
        if "eval/success" in metrics:
            low, high = metrics["eval/success_low"], metrics["eval/success_high"]
            parts.append(f"held-out {metrics['eval/success']:.0%} [{low:.0%}, {high:.0%}]")
        self.say(f"step {step}/{steps}  " + "  ".join(parts))
