"""A plain process with resource limits: no sandbox, for hosts without Linux and for programs of one's own.

What it holds: wall time, CPU time, memory and file size of each process, and the output's size. What it does not: all
the rest. A program reads and writes what this user can, reaches the network, signals this user's processes, and what it
starts in another session outlives it.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from types import MappingProxyType

from envserver.sandboxes._fork import shelter, tree
from envserver.sandboxes._fork.spool import Spool
from envserver.sandboxes.base import BadInput, Limits, NoSuchFile, Ran, Sandbox, SandboxConfig, SandboxLost

__all__ = ["Process"]

# Limits are set in the process that becomes the program: between fork and exec this one, which has threads, must not.
LAUNCH = """
import json, os, resource, sys
limits, words = json.loads(sys.argv[1]), sys.argv[2:]
for name, (soft, hard) in limits.items():
    try:
        resource.setrlimit(getattr(resource, name), (soft, hard))
    except (ValueError, OSError):
        pass
try:
    os.execvp(words[0], words)
except OSError as error:
    sys.stderr.write(f"{words[0]}: {error.strerror}\\n")
    sys.exit(126 if isinstance(error, PermissionError) else 127)
"""


class Process(Sandbox):
    """A process with resource limits in a directory of its own: no sandbox at all."""

    unsafe = True

    def __init__(self, config: SandboxConfig) -> None:
        super().__init__(config)
        self.enforced = MappingProxyType(
            {"time": "by the worker", "output": "by the worker", "memory": "each process", "cpu": "each process"}
        )
        self._directory = tempfile.mkdtemp(prefix="turnhalle-process-")

    def _run(
        self, arguments: list[str], python: str | None, stdin: bytes, environment: dict[str, str], limits: Limits
    ) -> Ran:
        if not os.path.isdir(self._directory):
            raise SandboxLost("the working directory is gone; open another sandbox")
        words = [shelter.interpreter(), "-s", "-c", python, *arguments] if python is not None else arguments
        cpu_s = math.ceil(limits.cpu_s)
        bounds = {"RLIMIT_FSIZE": limits.disk_bytes, "RLIMIT_AS": limits.memory_bytes, "RLIMIT_CORE": 0}
        told = json.dumps({name: (value, value) for name, value in bounds.items()} | {"RLIMIT_CPU": (cpu_s, cpu_s + 1)})
        home = shelter.environment(self._directory)
        word, tell = socket.socketpair()
        with Spool(limits.output_bytes) as spool, tempfile.TemporaryFile() as given, word, tell:
            given.write(stdin)
            given.seek(0)
            used, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", "-c", LAUNCH, told, *words],
                stdin=given,
                stdout=spool.ends[0],
                stderr=spool.ends[1],
                cwd=self._directory,
                env={**home, "TMPDIR": self._directory, **environment},
                start_new_session=True,
            )
            waiter = threading.Thread(target=lambda: (process.wait(), tell.send(b"!")))
            waiter.start()
            whole = spool.fill(word, limits.wall_s)
            timed_out = whole and process.poll() is None
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code, wall_s = process.wait(), time.monotonic() - began
            waiter.join()
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            spool.drain(0.2)
            out, errors = spool.written()
        return Ran(
            stdout=out,
            stderr=errors,
            code=code if code >= 0 else None,
            signal=-code if code < 0 else None,
            cut=spool.cut,
            timed_out=timed_out or code == -signal.SIGXCPU,
            out_of_memory=False,
            wall_s=wall_s,
            cpu_s=after.ru_utime + after.ru_stime - used.ru_utime - used.ru_stime,
            enforced=self.enforced,
        )

    def write(self, path: str, data: bytes, *, executable: bool = False) -> None:
        try:
            placing = tree.Placing(self._directory, tree.split(path), executable)
            try:
                with open(placing.file, "wb") as file:
                    file.write(data)
                placing.place()
            finally:
                placing.discard()
        except (tree.BadPath, tree.NoFile) as error:
            raise BadInput(str(error)) from None

    def read(self, path: str, *, limit_bytes: int = 1 << 20) -> bytes:
        try:
            with open(tree.open_file(self._directory, tree.split(path)), "rb") as file:
                data = file.read(limit_bytes + 1)
        except tree.BadPath as error:
            raise BadInput(str(error)) from None
        except tree.NoFile as error:
            raise NoSuchFile(str(error)) from None
        if len(data) > limit_bytes:
            raise BadInput(f"{path!r:.200} holds more than the {limit_bytes} bytes that were asked for")
        return data

    def reset(self) -> None:
        self.close()
        self._directory = tempfile.mkdtemp(prefix="turnhalle-process-")

    def close(self) -> None:
        shutil.rmtree(self._directory, ignore_errors=True)
