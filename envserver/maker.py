"""The maker: a single-threaded process that makes what tasks need, each thing in a child forked for it.

A child is forked from what is loaded once, so it starts clean and at once; it ends with the maker, and is killed with
all it started when its time is up. What several tasks need is made once. At most `processes` children run.

Run as `python -m envserver.maker CONTROL_FD PARENT_PID` with a JSON object on standard input:
`{"specs": {name: spec}, "options": {name: {}}, "processes": int, "timeout_s": float, "path": [str]}`. It reports which
environments make something, `{"makes": [name]}`, and ends where none does. It is asked `{"number": int, "task": Task}`
a line and answers `{"number": int, "failed": str | null}` a line, in any order; null where the task may be opened.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
import time
from collections import deque
from dataclasses import dataclass, field
from typing import Any

from envserver.catalogue import load_env
from envserver.core import Env, Making
from envserver.kin import end_with
from envserver.schema import Task
from envserver.workers.base import Served

__all__ = ["Maker"]

SAID_BYTES = 2000
"""Longest sentence of a child."""


@dataclass
class Job:
    """One thing to make, and who waits for it."""

    what: tuple[str, str]
    """Environment and name."""
    making: Making
    numbers: list[int]
    child: int = 0
    deadline: float = 0.0
    said: bytes = field(default=b"", repr=False)


class Maker:
    """What is being made, and what waits to be."""

    def __init__(self, control: socket.socket, served: dict[str, Served], processes: int, timeout_s: float) -> None:
        self.control = control
        self.served = served
        self.processes = processes
        self.timeout_s = timeout_s
        self.jobs: dict[tuple[str, str], Job] = {}
        """Everything that is not made yet."""
        self.waiting: deque[Job] = deque()
        self.running: dict[int, Job] = {}
        """By the pipe that the child speaks through."""
        self._held = b""

    def run(self) -> None:
        """Make what is asked for until the server goes."""
        while True:
            nearest = min((job.deadline for job in self.running.values()), default=None)
            wait_s = None if nearest is None else max(0.0, nearest - time.monotonic())
            link = self.control.fileno()
            ready, _, _ = select.select([link, *self.running], [], [], wait_s)
            if link in ready:
                data = self.control.recv(1 << 16)
                if not data:
                    return
                *lines, self._held = (self._held + data).split(b"\n")
                for line in lines:
                    asked = json.loads(line)
                    self._ask(asked["number"], Task.model_validate(asked["task"]))
            for pipe in self.running.keys() & set(ready):
                if chunk := os.read(pipe, SAID_BYTES):
                    self.running[pipe].said += chunk
                else:
                    self._end(pipe, "")
            now = time.monotonic()
            for pipe in [pipe for pipe, job in self.running.items() if job.deadline <= now]:
                self._end(pipe, f"it was not made within {self.timeout_s:g} s; make it beforehand")
            while self.waiting and len(self.running) < self.processes:
                self._fork(self.waiting.popleft())

    def _ask(self, number: int, task: Task) -> None:
        served = self.served[task.env]
        try:
            making = served.kind.making(served.config(task.options), task)
        except Exception:
            making = None  # A task that cannot be opened: the world that is asked to says why.
        if making is None:
            self._answer([number], None)
            return
        what = (task.env, making.name)
        job = self.jobs.get(what)
        if job is None:
            job = self.jobs[what] = Job(what, making, [])
            self.waiting.append(job)
        job.numbers.append(number)

    def _fork(self, job: Job) -> None:
        reading, writing = os.pipe()
        maker = os.getpid()
        job.child = os.fork()
        if job.child == 0:
            self.control.close()
            os.close(reading)
            _make(job.making, writing, maker)
        os.close(writing)
        with contextlib.suppress(OSError):
            os.setpgid(job.child, job.child)
        job.deadline = time.monotonic() + self.timeout_s
        self.running[reading] = job

    def _end(self, pipe: int, late: str) -> None:
        """Let a child go; `late` says that it had its time."""
        job = self.running.pop(pipe)
        os.close(pipe)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(job.child, signal.SIGKILL)
        os.waitpid(job.child, 0)
        del self.jobs[job.what]
        said = job.said.decode(errors="replace") or f"making '{job.what[1]}' was killed; is there enough memory?"
        self._answer(job.numbers, late or (None if said == "made" else said))

    def _answer(self, numbers: list[int], failed: str | None) -> None:
        for number in numbers:
            self.control.sendall(json.dumps({"number": number, "failed": failed}).encode() + b"\n")


def _make(making: Making, writing: int, maker: int) -> None:
    """A child's whole life; it never returns."""
    said = "making was interrupted"
    try:
        os.setpgid(0, 0)
        end_with(maker)
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        # Where memory runs out the kernel shall take this process, and not the server.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
        making.make()
        said = "made"
    except (Exception, SystemExit) as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())
    finally:
        os.write(writing, said.encode(errors="replace")[:SAID_BYTES])
        sys.stderr.flush()
        os._exit(0)


def _load(specs: dict[str, str], options: dict[str, Any]) -> dict[str, Served]:
    """The environments that make something; one that cannot be loaded is the template's to tell."""
    served = {}
    for name, spec in specs.items():
        with contextlib.suppress(Exception, SystemExit):
            kind = load_env(spec)
            if kind.making.__func__ is not Env.making.__func__:  # type: ignore[attr-defined]
                served[name] = Served(kind, options.get(name, {}))
    return served


def main(control: socket.socket, parent: int) -> None:
    """Load the environments, report, and make what is asked for."""
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path[:] = told["path"]
    served = _load(told["specs"], told["options"])
    control.sendall(json.dumps({"makes": list(served)}).encode() + b"\n")
    if not served:
        return
    for one in served.values():
        with contextlib.suppress(Exception, SystemExit):
            one.kind.warm(one.config({}))
    gc.freeze()
    Maker(control, served, told["processes"], told["timeout_s"]).run()


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
