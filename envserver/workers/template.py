"""The template: a fresh, single-threaded process that loads every environment once and forks workers on demand.

The server, with its threads and sockets, is never forked. A worker plays one call at a time, in the order of asking,
and answers each at once, so the first unanswered call is the one being played. Everything here dies with the server:
the template when its control socket closes or its parent goes, a worker when the template goes.

Run as `python -m envserver.workers.template CONTROL_FD PARENT_PID` with a JSON object on standard input:
`{"specs": {name: spec}, "options": {name: {}}, "max_steps": int, "path": [str]}`. It reports JSON lines:
`{"begin": name}`, `{"card": EnvCard}`, `{"absent": name, "detail": str}`, `{"ready": true}`, `{"forked": pid}`.
"""

from __future__ import annotations

import contextlib
import gc
import json
import os
import signal
import socket
import struct
import sys
from enum import IntEnum, IntFlag
from typing import Any

from pydantic_core import from_json

from envserver.catalogue import card, load_env
from envserver.errors import GymError, WorldFailed
from envserver.kin import end_with
from envserver.schema import Action, Task
from envserver.workers.base import Result, Served, Worlds

__all__ = ["ANSWER", "ASK", "TOLD", "Flag", "Verb", "answered"]

ASK = struct.Struct("!IBQ")
"""Header of a call: body bytes, verb, number of the world."""
ANSWER = struct.Struct("!IB")
"""Header of an answer: body bytes, flags."""
TOLD = struct.Struct("!I")
"""Bytes of the episode's own briefing, which stands before the result where the flag says so."""


class Verb(IntEnum):
    """What a worker can be asked."""

    OPEN = 1
    STEP = 2
    COPY = 3
    EXPERT = 4
    CLOSE = 5
    TASKS = 6
    DEMONSTRATION = 7


class Flag(IntFlag):
    """What an answer is, beside its body."""

    OVER = 1
    TRUNCATED = 2
    ERROR = 4
    NONE = 8
    TOLD = 16


def main(control: socket.socket, parent: int) -> None:
    """Load the environments, report, and fork a worker for each socket that arrives."""
    end_with(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    told = json.load(sys.stdin)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    sys.path[:] = told["path"]
    served = {name: one for name, spec in told["specs"].items() if (one := _load(control, name, spec, told))}
    gc.freeze()
    # The kernel reaps the workers; the server learns of a death from the worker's socket.
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    _report(control, {"ready": True})
    template = os.getpid()
    while True:
        data, descriptors, _, _ = socket.recv_fds(control, 1, 1)
        if not data:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            _work(socket.socket(fileno=descriptors[0]), Worlds(served, told["max_steps"]), template)
        with contextlib.suppress(OSError):
            os.setpgid(pid, pid)
        os.close(descriptors[0])
        _report(control, {"forked": pid})


def _load(control: socket.socket, name: str, spec: str, told: dict[str, Any]) -> Served | None:
    _report(control, {"begin": name})
    options = told["options"].get(name, {})
    try:
        kind = load_env(spec)
        shown = card(name, kind, options).model_dump(mode="json")
        if kind.weight == "worker":
            kind.warm(kind.Config.model_validate(options))
    except (Exception, SystemExit) as error:
        _report(control, {"absent": name, "detail": f"{type(error).__name__}: {error}"})
        return None
    _report(control, {"card": shown})
    return Served(kind, options)


def _report(control: socket.socket, message: dict[str, Any]) -> None:
    control.sendall(json.dumps(message).encode() + b"\n")


def _work(link: socket.socket, worlds: Worlds, template: int) -> None:
    """The life of a worker; never returns."""
    try:
        os.setpgid(0, 0)
        end_with(template)
        for number in (signal.SIGCHLD, signal.SIGINT):
            signal.signal(number, signal.SIG_DFL)
        # Where memory runs out the kernel shall take a worker, which can be rebuilt, and not the server.
        with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
        stream = link.makefile("rb", 1 << 16)
        while len(header := stream.read(ASK.size)) == ASK.size:
            length, verb, world = ASK.unpack(header)
            flags, body = answered(worlds, Verb(verb), world, stream.read(length))
            link.sendall(ANSWER.pack(len(body), flags) + body)
        worlds.close_all()
    except BrokenPipeError:
        pass  # The server is gone, and with it whoever would read a complaint.
    finally:
        sys.stderr.flush()
        os._exit(0)


def answered(worlds: Worlds, verb: Verb, world: int, body: bytes) -> tuple[int, bytes]:
    """Flags and body of the answer to a call; whatever goes wrong is an answer, too."""
    try:
        match verb:
            case Verb.OPEN:
                flags, result = _result(worlds.open(world, Task.model_validate_json(body)))
                told = worlds.told(world)
                return (flags | Flag.TOLD, TOLD.pack(len(told)) + told + result) if told else (flags, result)
            case Verb.STEP:
                return _result(worlds.step(world, Action.model_validate_json(body)))
            case Verb.COPY:
                return (0 if worlds.copy(world, int(body)) else Flag.NONE), b""
            case Verb.EXPERT:
                action = worlds.expert(world)
                return 0, b"null" if action is None else action.model_dump_json().encode()
            case Verb.CLOSE:
                worlds.close(world)
                return 0, b""
            case Verb.TASKS:
                return 0, worlds.tasks(**from_json(body)).model_dump_json().encode()
            case Verb.DEMONSTRATION:
                return 0, worlds.demonstration(Task.model_validate_json(body)).model_dump_json().encode()
    except GymError as error:
        return Flag.ERROR, error.problem().model_dump_json().encode()
    except Exception as error:
        failure = WorldFailed(f"a worker failed at {verb.name}: {type(error).__name__}: {error}")
        return Flag.ERROR, failure.problem().model_dump_json().encode()


def _result(result: Result) -> tuple[int, bytes]:
    return (Flag.OVER if result.over else 0) | (Flag.TRUNCATED if result.truncated else 0), result.body


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])), int(sys.argv[2]))
