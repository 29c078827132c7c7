"""A server as its own process, for tests, demos and benches; it ends with whoever launched it."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

__all__ = ["Launched", "launch"]

READY_S = 60.0
"""What a server gets to answer /health."""
GOODBYE_S = 10.0
"""What a server gets to end after SIGTERM."""


class Launched:
    """A running server."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self._process = process
        self.url = url

    @property
    def pid(self) -> int:
        """The server's process id."""
        return self._process.pid

    def stop(self) -> None:
        """End the server and its workers; stopping again is fine."""
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(GOODBYE_S)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()


@contextmanager
def launch(
    envs: Sequence[str] = (),
    *,
    port: int = 0,
    workers: int | None = None,
    expert: bool = False,
    config: Path | None = None,
    log: Path | None = None,
    **settings: Any,
) -> Iterator[Launched]:
    """Run `python -m envserver serve` until the block ends. `settings` are further fields of ServerConfig.

    `log` gets what the server prints; without it that goes to this process' standard error. Raises RuntimeError with
    the log's end where the server ends before it is ready.
    """
    asked: dict[str, Any] = {"envs": ",".join(envs) or None, "port": port, "workers": workers, "config": config}
    asked |= {"expert": expert or None, **settings}
    with tempfile.TemporaryDirectory(prefix="envserver-") as directory, contextlib.ExitStack() as stack:
        port_file = Path(directory) / "url"
        variables = {f"ENVSERVER_{name.upper()}": _text(value) for name, value in asked.items() if value is not None}
        variables["ENVSERVER_PORT_FILE"] = str(port_file)
        output: Any = sys.stderr if log is None else stack.enter_context(log.open("ab"))
        try:
            output.fileno()
        except OSError:
            output = subprocess.DEVNULL
        process = subprocess.Popen(
            [sys.executable, "-m", "envserver", "serve"],
            env={**os.environ, **variables},
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            preexec_fn=_die_with_parent if sys.platform == "linux" else None,
        )
        launched = Launched(process, "")
        try:
            launched.url = _ready(process, port_file, log)
            yield launched
        finally:
            launched.stop()


def _text(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(value)
    return json.dumps(value) if isinstance(value, dict) else str(value)


def _ready(process: subprocess.Popen[bytes], port_file: Path, log: Path | None) -> str:
    deadline = time.monotonic() + READY_S
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = log.read_text(errors="replace")[-2000:].strip() if log is not None else "its output says why"
            raise RuntimeError(f"the server ended with code {process.returncode} before it was ready: {said}")
        if port_file.exists():
            url = port_file.read_text(encoding="utf-8").strip()
            with contextlib.suppress(httpx.TransportError):
                if httpx.get(f"{url}/health", timeout=5.0).is_success:
                    return url
        time.sleep(0.02)
    raise RuntimeError(f"the server was not ready within {READY_S:g} s")


LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


def _die_with_parent() -> None:
    assert LIBC is not None
    pr_set_pdeathsig = 1
    LIBC.prctl(pr_set_pdeathsig, signal.SIGKILL)
