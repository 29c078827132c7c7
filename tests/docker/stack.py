"""compose.yaml on the engine at hand, as a project of its own that is taken down afterwards."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

__all__ = ["Stack", "free_port", "until", "why_not"]

ROOT = Path(__file__).parents[2]
ENGINE = Path(__file__).with_name("engine.sh")


def why_not() -> str | None:
    """Why nothing can be brought up here; None where it can."""
    if shutil.which("docker") is None or subprocess.run(["docker", "info"], capture_output=True).returncode:
        return "no container engine answers; `make test-docker` brings one up"
    if subprocess.run(["docker", "compose", "version"], capture_output=True).returncode:
        return "this engine's client has no compose v2"
    return None


class Stack:
    """One project of containers."""

    def __init__(self, directory: Path, **settings: str) -> None:
        """Writes the project's settings into `directory`; starts nothing."""
        stand_ins = subprocess.run([ENGINE, "env"], capture_output=True, text=True, check=True).stdout
        ports = {name: str(free_port()) for name in ("ENVSERVER_PORT", "MEMORY_PORT", "PROMETHEUS_PORT")}
        self.env_file = directory / "env"
        lines = [*stand_ins.split(), *(f"{name}={value}" for name, value in (ports | settings).items())]
        self.env_file.write_text("\n".join(lines) + "\n", encoding="utf-8")
        self.gym = f"http://127.0.0.1:{ports['ENVSERVER_PORT']}"
        self.memory = f"http://127.0.0.1:{ports['MEMORY_PORT']}"
        self.prometheus = f"http://127.0.0.1:{ports['PROMETHEUS_PORT']}"

    def compose(self, *args: str, check: bool = True) -> str:
        """What `docker compose ARGS` prints. Raises AssertionError with what it says where it fails."""
        command = ["docker", "compose", "--env-file", str(self.env_file), "-p", "turnhalle-test", *args]
        ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert not check or ran.returncode == 0, f"{args}: {ran.stdout[-4000:]}{ran.stderr[-4000:]}"
        return ran.stdout

    def run(self, service: str, command: Sequence[str]) -> str:
        """What a command prints in a running container."""
        return self.compose("exec", "-T", service, "entrypoint.sh", *command)

    def token(self) -> str:
        """The token of the ports."""
        return self.compose("exec", "-T", "envserver", "cat", "/keys/token").strip()

    def containers(self, everything: bool = True) -> list[str]:
        """Ids of the project's containers."""
        return self.compose("ps", "-q", *(["-a"] if everything else [])).split()

    def inspected(self, service: str) -> dict[str, Any]:
        """What the engine knows of a service's container."""
        (id,) = self.compose("ps", "-aq", service).split()
        found: dict[str, Any] = json.loads(subprocess.check_output(["docker", "inspect", id]))[0]
        return found

    def kill(self, service: str) -> None:
        """`kill -9` of all of a container's processes, unasked: the engine is not told."""
        top = subprocess.check_output(["docker", "top", self.inspected(service)["Id"], "-eo", "pid"], text=True)
        for pid in top.split()[1:]:
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                continue

    def healthy(self, service: str, restarts: int) -> bool:
        """Whether a service is well after so many restarts."""
        found = self.inspected(service)
        return found["RestartCount"] >= restarts and found["State"].get("Health", {}).get("Status") == "healthy"


def until(holds: Callable[[], bool], patience_s: float = 120) -> None:
    """Wait until it holds. Raises AssertionError after `patience_s`."""
    give_up = time.monotonic() + patience_s
    while not holds():
        assert time.monotonic() < give_up, "it never came true"
        time.sleep(0.25)


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        return int(free.getsockname()[1])
