"""The two processes of a run: one that waits for it, and the program itself, which is told last.

Both are forked and locked in before there is a program. The job (what to run, its limits) comes over a socket as a
descriptor; after it the program holds no descriptor but its three.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import linecache
import os
import resource
import signal
import socket
import sys
import traceback
import types
from typing import Any, NoReturn

from envserver.sandboxes._fork import linux, seccomp
from envserver.sandboxes._fork.walls import Walls

__all__ = ["lock_in", "stand"]

NAME = "main.py"
OPEN_FILES = 256
STREAMS = {"stdin": "surrogateescape", "stdout": "surrogateescape", "stderr": "backslashreplace"}


def stand(link: socket.socket, walls: Walls, directory: str) -> NoReturn:
    """The life of a run, in the process that `fork_run` made: wait for the program and report how it ended."""
    try:
        linux.die_with_parent()
        walls.around_run()
        program = os.fork()
    except OSError as error:
        link.send(json.dumps({"failed": str(error)}).encode())
        os._exit(1)
    if program == 0:
        _become(link, walls, directory)
    while True:
        pid, status = os.wait()
        if pid == program:
            with contextlib.suppress(OSError):
                link.send(json.dumps({"status": status}).encode())
            os._exit(0)


def _become(link: socket.socket, walls: Walls, directory: str) -> NoReturn:
    code = 1
    try:
        lock_in(walls, directory)
    except OSError as error:
        link.send(json.dumps({"failed": str(error)}).encode())
        os._exit(code)
    try:
        data, descriptors, _, _ = socket.recv_fds(link, 1 << 16, 4)
        if not data:
            os._exit(code)
        limits, job = json.loads(data), descriptors[0]
        for number, descriptor in enumerate(descriptors[1:]):
            os.dup2(descriptor, number)
        with os.fdopen(job, "rb", closefd=False) as file:
            asked = json.load(file)
        linux.close_from(3)
        link.detach()
        code = _run(asked, limits)
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(code)


def lock_in(walls: Walls, directory: str) -> None:
    """In the process that will be the program: put up the last walls."""
    linux.die_with_parent()
    os.setsid()
    os.chdir(directory)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    linux.no_new_privileges()
    walls.around_program()
    linux.set_dumpable(True)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as score:
        score.write("1000")  # the kernel shall end the program, and not those that watch it
    seccomp.install(walls.families)


def _run(asked: dict[str, Any], limits: dict[str, Any]) -> int:
    for number in (signal.SIGPIPE, signal.SIGINT, signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    os.environ.update(asked["environment"])
    for name, value in limits["resources"].items():
        resource.setrlimit(getattr(resource, name), (value[0], value[1]))
    if asked["python"] is not None:
        return _play(asked["python"], asked["arguments"])
    try:
        os.execvp(asked["arguments"][0], asked["arguments"])
    except OSError as error:
        os.write(2, f"{asked['arguments'][0]}: {error.strerror}\n".encode(errors="replace"))
        return 126 if isinstance(error, PermissionError) else 127


def _play(source: str, arguments: list[str]) -> int:
    """Run Python source here, as a fresh interpreter would run it as its main file; the exit code."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "envserver"]:
        del sys.modules[name]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    main = types.ModuleType("__main__")
    main.__file__ = NAME
    sys.modules["__main__"] = main
    sys.argv = [NAME, *arguments]
    sys.path.insert(0, os.getcwd())
    for number, (name, errors) in enumerate(STREAMS.items()):
        mode, buffering = "r" if number == 0 else "w", 1 if number == 2 else -1
        stream = open(number, mode, buffering, "utf-8", errors, closefd=False)  # noqa: SIM115
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    linecache.cache[NAME] = (len(source), None, source.splitlines(keepends=True), NAME)
    gc.enable()
    code = 0
    try:
        exec(compile(source, NAME, "exec"), main.__dict__)
    except SystemExit as end:
        code = _exit_code(end)
    except BaseException as error:
        # The first frames are this file's.
        inner = error.__traceback__.tb_next if error.__traceback__ else None
        sys.excepthook(type(error), error.with_traceback(inner), inner)
        code = 130 if isinstance(error, KeyboardInterrupt) else 1
    if "threading" in sys.modules:
        sys.modules["threading"]._shutdown()
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 120
    return code


def _exit_code(end: SystemExit) -> int:
    if end.code is None:
        return 0
    if isinstance(end.code, int):
        return end.code & 0xFF
    print(end.code, file=sys.stderr)
    return 1
