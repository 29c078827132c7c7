"""The worker's side: starts a warm process for each set of settings, and asks it for referees.

What it holds: a player has no network, no file of the host but system directories and installed packages (read-only),
no process but its own threads, its own user, a bound on memory and threads, and stays on the cores it was given. It
shares one region of memory with its referee, whose expected outputs, tolerances and clock are in another process.
What it does not hold: it shares the host's kernel, so a fault in that is a way out; CPU caches are shared, so players
can measure each other; native code can do to its own process what it likes, so nothing that a player says of itself
is believed. On a GPU the device nodes are shown to it and the driver is in its reach; a device's memory is held by
the driver alone, and what compiles there (Triton) may start programs.
"""

from __future__ import annotations

import atexit
import contextlib
import glob
import json
import os
import select
import socket
import subprocess
import sys
import sysconfig
import tempfile
import threading
from dataclasses import asdict, dataclass, field
from pathlib import Path

from envserver.sandboxes._fork import shelter
from envserver.sandboxes._fork.walls import Told
from envserver.sandboxes.base import SandboxLost, SandboxUnavailable

__all__ = ["Settings", "begin", "close_all", "referee"]

START_S = 120.0
"""What a fresh process gets to import torch; a loaded machine is slow, a hung one is told."""
BOOT = """
import socket, sys, types
for name in ("", ".sandboxes", ".envs"):
    module = sys.modules["envserver" + name] = types.ModuleType("envserver" + name)
    module.__path__ = [sys.argv[3] + name.replace(".", "/")]
from envserver.sandboxes._stage.warm import main
main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
"""
OURS = ("envserver", "agents", "trainers", "skills_db")
INSIDE = "/packages/site"
GPU_DEVICES = ("/dev/nvidia[0-9]*", "/dev/nvidiactl", "/dev/nvidia-uvm", "/dev/nvidia-uvm-tools")


@dataclass(frozen=True)
class Settings:
    """What a warm process is started with."""

    referee: str
    """Module with `judge(link, stages)`."""
    player: str
    """Module with `play(link)`."""
    walls: str = "namespace"
    preload: tuple[str, ...] = ("torch",)
    environment: dict[str, str] = field(default_factory=dict)
    memory_bytes: int = 4 << 30
    """Of one stage."""
    alone: bool = True
    """Whether stages may start threads alone, and no program."""
    gpu: bool = False
    spare: int = 1
    """Referees that are made before they are asked for."""


class Warm:
    """A warm process, seen from the worker."""

    def __init__(self, settings: Settings) -> None:
        self.lock = threading.Lock()
        self.control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        package = str(Path(__file__).resolve().parents[2])
        self.process = subprocess.Popen(
            [sys.executable, "-s", "-P", "-B", "-c", BOOT, str(theirs.fileno()), str(os.getpid()), package],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            env=_environment(settings),
            cwd="/",
            pass_fds=[theirs.fileno()],
            start_new_session=True,
        )
        theirs.close()
        told = asdict(settings) | {"told": asdict(_told(settings))}
        assert self.process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps(told).encode())
            self.process.stdin.close()
        self.ready = False

    def open(self) -> socket.socket:
        """A referee's socket. Raises SandboxUnavailable, SandboxLost."""
        with self.lock:
            if not self.ready:
                self._heard()
                self.ready = True
            try:
                self.control.send(b"open")
            except OSError:
                raise SandboxLost("the process that evaluates kernels was killed; evaluate again") from None
            return socket.socket(fileno=self._heard()[0])

    def _heard(self) -> list[int]:
        if not select.select([self.control], [], [], START_S)[0]:
            raise SandboxUnavailable(f"the process that evaluates kernels said nothing for {START_S:g} s")
        try:
            data, descriptors, _, _ = socket.recv_fds(self.control, 1 << 16, 1)
        except OSError:
            data, descriptors = b"", []
        if not data and self.ready:
            raise SandboxLost("the process that evaluates kernels was killed; evaluate again")
        answer = json.loads(data or b'{"failed": "it ended; its errors stand on standard error"}')
        if "failed" in answer:
            raise SandboxUnavailable(f"kernels cannot be evaluated here: {answer['failed']}")
        return descriptors

    def close(self) -> None:
        """End it, and all that it has forked."""
        self.control.close()
        if not self.ready:  # it may still import torch, and has forked nothing
            self.process.kill()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


_warm: dict[str, Warm] = {}
_lock = threading.Lock()


def begin(settings: Settings) -> Warm:
    """The warm process of these settings, started where there is none; it may not be ready."""
    key = json.dumps(asdict(settings), sort_keys=True)
    with _lock:
        found = _warm.get(key)
        if found is not None and found.process.poll() is not None:
            found.close()
            found = None
        if found is None:
            found = _warm[key] = Warm(settings)
        return found


def referee(settings: Settings) -> socket.socket:
    """A socket to a referee that has its stages and waits for a job. Raises SandboxUnavailable, SandboxLost."""
    warm = begin(settings)
    try:
        return warm.open()
    except SandboxLost:
        warm.process.kill()
        warm.process.wait()
        return begin(settings).open()


def close_all() -> None:
    """End every warm process of this one."""
    with _lock:
        while _warm:
            _warm.popitem()[1].close()


def _environment(settings: Settings) -> dict[str, str]:
    kept = ("CUDA_VISIBLE_DEVICES", "LD_LIBRARY_PATH") if settings.gpu else ()
    found = {name: os.environ[name] for name in kept if name in os.environ}
    return shelter.environment("/work") | {"PYTHONPATH": ""} | found | settings.environment


def _told(settings: Settings) -> Told:
    site = os.path.realpath(sysconfig.get_path("purelib"))
    roots = shelter.roots()
    # Seen as /packages/site, wherever it lies: what a root has at its place may be something else there.
    hidden = [*shelter.hidden(roots), *(f"{place}/{name}" for place in (INSIDE, site) for name in OURS)]
    return Told(
        walls=settings.walls,
        roots=roots,
        hidden=hidden,
        packages={"site": site},
        environment={},
        scratch=tempfile.gettempdir(),
        spare=0,
        disk_bytes=64 << 20,
        files=1024,
        devices=[path for pattern in GPU_DEVICES for path in glob.glob(pattern)] if settings.gpu else [],
    )


def _forget() -> None:
    global _lock
    _lock = threading.Lock()
    for warm in _warm.values():
        warm.control.close()
        warm.process.returncode = 0  # or its end would be waited for here, where it is no child
    _warm.clear()


os.register_at_fork(after_in_child=_forget)
atexit.register(close_all)
