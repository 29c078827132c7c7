"""Peers' own clients, each in a virtual environment of its own under `.venvs`: `make test-peers` makes them."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent
VENVS = Path(os.environ.get("TURNHALLE_VENVS", HERE.parents[1] / ".venvs"))

FOUND = "import importlib.util, sys; sys.exit(importlib.util.find_spec(sys.argv[1]) is None)"

Run = Callable[..., Any]

# The server's own process has to find `worlds`.
os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, (str(HERE.parent / "envserver"), os.environ.get("PYTHONPATH"))))


@pytest.fixture
def peer_python() -> Callable[[str], Path]:
    """The interpreter of a virtual environment; the test is skipped where it is missing."""

    def python(venv: str) -> Path:
        found = VENVS / venv / "bin" / "python"
        if not found.exists():
            pytest.skip(f"the virtual environment {VENVS / venv} is missing: make test-peers")
        return found

    return python


@pytest.fixture
def peer(peer_python: Callable[[str], Path]) -> Run:
    """Runs `tests/peers/SCRIPT` in the virtual environment VENV; what it printed last, as JSON."""

    def run(venv: str, script: str, *arguments: str, needs: str | None = None, ours: bool = False) -> Any:
        python = str(peer_python(venv))
        # The peers know no package of ours, and import none; a trainer has our client beside it.
        environ = {key: value for key, value in os.environ.items() if key != "PYTHONPATH"}
        environ |= {"PYTHONPATH": str(HERE.parents[1]), "OMP_NUM_THREADS": "1"} if ours else {}
        if needs and subprocess.run([python, "-c", FOUND, needs], check=False).returncode:
            pytest.skip(f"{needs} is for another Python: make clean, then make test-peers PYTHON=python3.12")
        done = subprocess.run(
            [python, str(HERE / script), *arguments],
            capture_output=True,
            text=True,
            timeout=200,
            check=False,
            env=environ,
        )
        assert done.returncode == 0, done.stderr[-3000:]
        return json.loads(done.stdout.splitlines()[-1])

    return run
