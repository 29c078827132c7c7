"""Sandbox of a container engine: a container for each session, for tasks that name an image or want tools of their own.

Inside runs a fork server as in `namespace`, over one attached stream, so a program starts in milliseconds where a
container takes hundreds. The container has no network, no capability that a program keeps, a read-only root, a disk in
memory, limits of memory and processes, and the engine's usual profile of system calls. The image needs Python 3.11 or
newer as `python3`, and is never pulled. It goes with its stream: when the worker ends, so does the container.

What it does not hold: with the engine's usual runtime it shares the host's kernel (`runtime` can name gVisor's
`runsc`); who may talk to the engine is root on its host, so the engine's socket is not for the machine that serves
players. The container's limits of processes and disk are those it was opened with, whatever a run's are.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from types import MappingProxyType
from typing import Annotated, Any

import docker
from docker.errors import APIError, DockerException, ImageNotFound
from pydantic import Field

from envserver.sandboxes._docker.container import MOUNTS, Container, Pool
from envserver.sandboxes._fork.client import translated
from envserver.sandboxes._fork.line import Gone
from envserver.sandboxes.base import BadInput, Limits, Ran, Sandbox, SandboxConfig, SandboxUnavailable

__all__ = ["Docker"]

SLACK_S = 30.0
"""What an engine gets beyond a run's own time."""
OURS = 3
"""Processes of a container that are not the program's: porter, keeper, and the run's that waits."""
OURS_BYTES = 16 << 20
_pools: dict[SandboxConfig, Pool] = {}
_lock = threading.Lock()


class Docker(Sandbox):
    """A container of an engine, from an image of one's choice; opt in."""

    class Config(SandboxConfig):
        image: str = "python:3.11-slim"
        """Image that is on the engine already."""
        runtime: str | None = None
        """The engine's runtime, such as `runsc`; its default where none is named."""
        memory_bytes: Annotated[int, Field(ge=16 << 20)] = 256 << 20
        """What a run may have at most; files in memory count."""
        disk_bytes: Annotated[int, Field(ge=1 << 20)] = 64 << 20
        """What the working directory holds, and the temporary ones as much again."""
        files: Annotated[int, Field(ge=1)] = 4096
        """How many files each of them has."""
        processes: Annotated[int, Field(ge=1)] = 64
        """Processes and threads of any run."""
        spare: Annotated[int, Field(ge=0, le=16)] = 1
        """Containers that are started before they are asked for, in each worker."""
        start_timeout_s: Annotated[float, Field(gt=0)] = 60.0
        """What the engine gets to start one."""

    def __init__(self, config: SandboxConfig) -> None:
        super().__init__(config)
        assert isinstance(config, self.Config)
        self._options = config
        with _lock:
            if config not in _pools:
                _pools[config] = Pool(config.spare)
                with _engines_errors(config.image):
                    Container.sweep(self._api())
            self._pool = _pools[config]
        self._container = self._opened()

    def _opened(self) -> Container:
        container = self._pool.take(self._start)
        self._memory_bytes = self._options.memory_bytes
        self.enforced = MappingProxyType(container.enforced)
        return container

    def _start(self) -> Container:
        config = self._options
        with _engines_errors(config.image):
            api = self._api()
            limits: dict[str, Any] = {
                "auto_remove": True,
                "cap_add": ["SETUID", "SETGID"],
                "cap_drop": ["ALL"],
                "mem_limit": self._all_memory(config.memory_bytes),
                "memswap_limit": self._all_memory(config.memory_bytes),
                "network_mode": "none",
                "pids_limit": config.processes + OURS,
                "read_only": True,
                "runtime": config.runtime,
                "security_opt": ["no-new-privileges"],
                "tmpfs": {
                    place: f"size={config.disk_bytes},nr_inodes={config.files},{mode}" for place, mode in MOUNTS.items()
                },
            }
            enforced = {
                "user": "one in the container, not root",
                "host files": "the image's, read-only",
                "disk": "a disk in memory, of the container",
                "network": "none",
                "runtime": config.runtime or "the engine's own",
            }
            return Container(api, config.image, limits, enforced, config.start_timeout_s)

    def _api(self) -> Any:
        return docker.from_env(timeout=int(self._options.start_timeout_s) + 1).api

    def _all_memory(self, memory_bytes: int) -> int:
        """The processes that are not the program's want some, too."""
        return memory_bytes + OURS_BYTES

    def _run(
        self, arguments: list[str], python: str | None, stdin: bytes, environment: dict[str, str], limits: Limits
    ) -> Ran:
        if limits.memory_bytes > self._options.memory_bytes:
            raise BadInput(
                f"a run's memory_bytes is {limits.memory_bytes}, more than the {self._options.memory_bytes} of the "
                f"container; open one with more"
            )
        job = {"arguments": arguments, "python": python, "environment": environment}
        with _engines_errors(self._options.image):
            if limits.memory_bytes != self._memory_bytes:
                self._container.bound_memory(self._all_memory(limits.memory_bytes))
                self._memory_bytes = limits.memory_bytes
        message = {"do": "run", "job": job, "limits": asdict(limits)}
        with translated():
            answer, data = self._container.ask(message, stdin, limits.wall_s + SLACK_S)
        cut_at = answer["out_bytes"]
        return Ran(data[:cut_at], data[cut_at:], enforced=self.enforced, **answer["ran"])

    def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        with translated():
            self._container.ask({"do": "write", "path": path, "executable": executable}, data, SLACK_S)

    def read(self, path: str, *, limit_bytes: int = 1 << 20) -> bytes:
        with translated():
            return self._container.ask({"do": "read", "path": path, "limit_bytes": limit_bytes}, b"", SLACK_S)[1]

    def reset(self) -> None:
        self._container.close()
        self._container = self._opened()

    def close(self) -> None:
        self._container.close()


@contextmanager
def _engines_errors(image: str) -> Iterator[None]:
    """What the engine's client raises, in a sentence."""
    try:
        yield
    except ImageNotFound:
        raise SandboxUnavailable(f"the engine has no image '{image}'; pull or build it first") from None
    except APIError as error:
        raise SandboxUnavailable(f"the engine refuses a container: {error.explanation}") from None
    except (DockerException, OSError) as error:
        raise SandboxUnavailable(f"no container engine answers: {error}") from None
    except Gone as error:
        raise SandboxUnavailable(f"a container of '{image}' does not come up: {error}") from None
