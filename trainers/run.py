"""A run's directory: config.json, metrics.jsonl, checkpoints/, tensorboard/, curve.png.

Rule: whatever moment the process is killed at, the directory holds a whole checkpoint or none; `step_000120` is the
state after 120 steps, written under another name, flushed to the disk and
renamed.
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from trainers import recipe
from trainers.config import RunConfig
from trainers.disk import flush
from trainers.plugged import BadConfig

__all__ = ["Checkpoint", "Run", "find_checkpoint", "rewrite"]

_STEP = re.compile(r"step_(\d{6,})")


class Checkpoint:
    """One directory under `checkpoints/`: model/, the optimizer's files, loop.json."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def step(self) -> int:
        """Steps that were done."""
        found = _STEP.fullmatch(self.path.name)
        return int(found[1]) if found else 0

    @property
    def model(self) -> Path:
        """The policy as a Hugging Face directory."""
        return self.path / "model"

    @property
    def run(self) -> Path:
        """The directory of the run it belongs to."""
        return self.path.parent.parent

    def state(self) -> dict[str, Any]:
        """The loop's own state."""
        found: dict[str, Any] = json.loads((self.path / "loop.json").read_text())
        return found


class Run:
    """A run's directory, open for reading; `make`, `create` and `write_checkpoint` write."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    @property
    def metrics(self) -> Path:
        """One JSON object a step."""
        return self.directory / "metrics.jsonl"

    @property
    def tensorboard(self) -> Path:
        """TensorBoard event files."""
        return self.directory / "tensorboard"

    @property
    def memory_run(self) -> Path:
        """File that holds the run's id in the store."""
        return self.directory / "memory_run"

    def config(self) -> RunConfig:
        """What the run was told. Raises BadConfig where there is no run."""
        if not (self.directory / "config.json").exists():
            raise BadConfig(f"'{self.directory}' is no run: it has no config.json")
        return recipe.read(self.directory / "config.json")

    def checkpoints(self) -> list[Checkpoint]:
        """Oldest first."""
        folder = self.directory / "checkpoints"
        found = [Checkpoint(path) for path in folder.glob("step_*") if _STEP.fullmatch(path.name)]
        return sorted(found, key=lambda checkpoint: checkpoint.step)

    def make(self) -> None:
        """Make the directory where there is none. Raises BadConfig where it cannot be written."""
        try:
            self.directory.mkdir(parents=True, exist_ok=True)
            (self.directory / "server.log").touch()
        except OSError as error:
            raise BadConfig(f"the run's directory '{self.directory}' cannot be written: {error}") from error

    def create(self, config: RunConfig) -> None:
        """Write config.json."""
        self.make()
        rewrite(self.directory / "config.json", recipe.text(config) + "\n")

    def clear(self) -> None:
        """Delete what an earlier run of this name left, but nothing that a run does not write."""
        for name in ("checkpoints", "tensorboard", "model"):
            shutil.rmtree(self.directory / name, ignore_errors=True)
        for name in ("metrics.jsonl", "curve.png", "curve.svg", "config.json", "memory_run"):
            (self.directory / name).unlink(missing_ok=True)

    def write_checkpoint(
        self, step: int, save: Callable[[Path], object], state: dict[str, Any], keep: int
    ) -> Checkpoint:
        """`save` fills a directory, `state` joins it; then it gets its name, and all but the newest `keep` go."""
        folder = self.directory / "checkpoints"
        partial = folder / f".partial_{step:06d}"
        final = folder / f"step_{step:06d}"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        save(partial)
        (partial / "loop.json").write_text(json.dumps(state))
        for path in (partial / "loop.json", partial):
            flush(path)
        shutil.rmtree(final, ignore_errors=True)
        os.replace(partial, final)
        flush(folder)
        for old in self.checkpoints()[:-keep]:
            shutil.rmtree(old.path, ignore_errors=True)
        return Checkpoint(final)


def find_checkpoint(path: Path) -> Checkpoint:
    """The newest checkpoint of a run, or the one at `path` itself. Raises BadConfig where there is none."""
    if (path / "loop.json").exists():
        return Checkpoint(path)
    Run(path).config()
    found = Run(path).checkpoints()
    if not found:
        raise BadConfig(f"the run '{path}' has no checkpoint yet; let it train for a few steps first")
    return found[-1]


def rewrite(path: Path, content: str) -> None:
    """Put a file in the place of another, whole and on the disk. Raises OSError."""
    partial = path.with_name(path.name + ".partial")
    partial.write_text(content)
    flush(partial)
    os.replace(partial, path)
    flush(path.parent)
