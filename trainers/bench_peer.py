"""A peer of the bench, asked in a Python of its own: JSON in, JSON out."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

__all__ = ["answered", "environment"]


def answered(
    python: Path, program: Sequence[str], asked: Any, *, env: Mapping[str, str], timeout_s: float, what: str
) -> dict[str, float]:
    """What `python program` prints when it reads `asked`; `env` is its whole environment.

    Raises RuntimeError with its last words where `what` it does fails, and subprocess.TimeoutExpired.
    """
    try:
        done = subprocess.run(
            [str(python), *program],
            input=json.dumps(asked),
            env=env,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            check=False,
        )
    except OSError as error:
        raise RuntimeError(f"'{python}' is no Python that can be run: {error}") from None
    if done.returncode:
        raise RuntimeError(f"{what} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def environment(own: Mapping[str, str], *, path: bool = False) -> dict[str, str]:
    """`own` where the environment here says nothing; a Python of other packages gets no PYTHONPATH of ours."""
    return {**own, **{name: value for name, value in os.environ.items() if path or name != "PYTHONPATH"}}
