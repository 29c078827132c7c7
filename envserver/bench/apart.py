"""A part of a measurement in a process of its own, with nothing of the others in memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

__all__ = ["apart"]


def apart(module: str, asked: DataclassInstance, *, timeout_s: float, env: Mapping[str, str] | None = None) -> Any:
    """What `python -m MODULE` answers: `asked` as JSON on stdin, its last line on stdout is JSON.

    `env` is put on top of this process's. Raises RuntimeError with its last words where it fails.
    """
    done = subprocess.run(
        [sys.executable, "-m", module],
        input=json.dumps(asdict(asked)),
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=timeout_s,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"{module} failed: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    return json.loads(done.stdout.splitlines()[-1])
