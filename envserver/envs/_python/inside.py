"""Runs in a sandbox, alone: a player's cells, a player's function on arguments, or a data set's tests.

Standard input: one JSON object with `mode`. Nothing of this project is imported here. What a player's program says of
itself is its claim: it is never told what is right, so a forged line is no better than a wrong answer. Values cross as
JSON in which what JSON lacks is `{"tuple": [...]}` and the like.
"""

from __future__ import annotations

import ast
import contextlib
import json
import linecache
import os
import random
import shutil
import signal
import sys
import traceback
from typing import Any

DEEP = 40
ROOTED = "/work"
SHELVES = (ROOTED, "/tmp", "/dev/shm")
"""Where a program may write, where the sandbox has a root of its own and this is its directory."""
KEPT = "kept"


class Late(BaseException):
    """One call took too long."""


class Missing(BaseException):
    """A test asks for a call that was not made, or that failed."""


def freeze(value: Any, deep: int = 0) -> Any:
    """A value as JSON. Raises TypeError for what is no plain data, ValueError for what is nested too deep."""
    if deep > DEEP:
        raise ValueError("the value is nested too deep")
    kind = type(value)
    if value is None or kind in (bool, str):
        return value
    if kind is int:
        return value if value.bit_length() < 10_000 else {"int": hex(value)}
    if kind is float:
        return value if value - value == 0 else {"float": repr(value)}
    if kind is list:
        return [freeze(item, deep + 1) for item in value]
    if kind is tuple:
        return {"tuple": [freeze(item, deep + 1) for item in value]}
    if kind in (set, frozenset):
        return {kind.__name__: sorted((freeze(item, deep + 1) for item in value), key=json.dumps)}
    if kind is dict:
        return {"dict": [[freeze(key, deep + 1), freeze(item, deep + 1)] for key, item in value.items()]}
    if kind is bytes:
        return {"bytes": value.hex()}
    if kind is complex:
        return {"complex": repr(value)}
    raise TypeError(f"{kind.__name__} is no plain data")


def thaw(value: Any) -> Any:
    """The value that was frozen."""
    if isinstance(value, list):
        return [thaw(item) for item in value]
    if not isinstance(value, dict):
        return value
    [(kind, inner)] = value.items()
    if kind == "dict":
        return {thaw(key): thaw(item) for key, item in inner}
    if kind in ("tuple", "set", "frozenset"):
        return {"tuple": tuple, "set": set, "frozenset": frozenset}[kind](map(thaw, inner))
    if kind == "int":
        return int(inner, 16)
    return bytes.fromhex(inner) if kind == "bytes" else {"float": float, "complex": complex}[kind](inner)


def main() -> None:
    asked = json.loads(sys.stdin.buffer.read())
    here = os.getcwd()
    for shelf in SHELVES if here == ROOTED else (here,):
        _clear(shelf)
    random.seed(0)
    if asked["mode"] == "session":
        _session(asked["cells"], asked["code"])
        return
    # What a program prints would stand among the answers.
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    if asked["mode"] != "program":
        _silence()
    if asked["mode"] == "tests":
        _tests(asked, answers)
    else:
        _calls(asked, answers)
    answers.flush()


def _clear(shelf: str) -> None:
    """Take away what an earlier program left on the disk."""
    try:
        left = list(os.scandir(shelf))
    except OSError:
        return
    for entry in left:
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path, ignore_errors=True)
        else:
            with contextlib.suppress(OSError):
                os.unlink(entry.path)


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)


def _session(cells: list[str], code: str) -> None:
    """The cells that were kept, unheard, and then one more."""
    control, out = os.dup(2), os.dup(1)
    _silence()
    sys.stderr = sys.stdout
    scope: dict[str, Any] = {"__name__": "__main__", "__builtins__": __builtins__}
    first = os.getpid()
    for number, cell in enumerate(cells, 1):
        _cell(cell, scope, number)
        _end_forked(first)
    sys.stdout.flush()
    os.dup2(out, 1)
    os.dup2(out, 2)
    os.close(out)
    _cell(code, scope, len(cells) + 1)
    _end_forked(first)
    sys.__stdout__.flush()  # type: ignore[union-attr]
    os.write(control, KEPT.encode())


def _end_forked(first: int) -> None:
    """A process that a cell has forked ends with its cell."""
    if os.getpid() != first:
        sys.stdout.flush()
        os._exit(0)


def _cell(code: str, scope: dict[str, Any], number: int) -> None:
    """One cell as an interpreter plays it: what its last expression gives is shown."""
    name = f"<call {number}>"
    linecache.cache[name] = (len(code), None, code.splitlines(keepends=True), name)
    try:
        tree = ast.parse(code, name)
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
        exec(compile(tree, name, "exec"), scope)
        if isinstance(last, ast.Expr):
            value = eval(compile(ast.Expression(last.value), name, "eval"), scope)
            if value is not None:
                scope["_"] = value
                print(repr(value))
    except SystemExit as end:
        print(f"SystemExit: {end.code}")
    except BaseException as error:
        trace = error.__traceback__.tb_next if error.__traceback__ else None
        if isinstance(error, SyntaxError) and trace is not None and trace.tb_frame.f_code.co_filename != name:
            trace = None
        traceback.print_exception(type(error), error, trace, file=sys.stdout)


def _load(asked: dict[str, Any]) -> Any:
    """The function that a source defines. Raises whatever that raises."""
    scope: dict[str, Any] = {"__name__": "solution"}
    for name, part in (("before.py", asked["before"]), ("solution.py", asked["source"])):
        exec(compile(part, name, "exec"), scope)
    found = scope.get(asked["name"])
    if found is None and isinstance(scope.get("Solution"), type):
        found = getattr(scope["Solution"](), asked["name"], None)
    if not callable(found):
        raise NameError(f"it defines no function {asked['name']}")
    return found


def _calls(asked: dict[str, Any], answers: Any) -> None:
    """A line for the source, and one for each call: its number, whether it gave something, and what."""

    def say(number: int, good: bool, what: Any) -> None:
        answers.write(json.dumps([number, good, what]) + "\n")
        answers.flush()

    def late(*_: Any) -> None:
        raise Late

    signal.signal(signal.SIGALRM, late)
    try:
        function = _load(asked)
    except BaseException as error:
        say(-1, False, f"{type(error).__name__}: {error}"[:500])
        return
    say(-1, True, None)
    for number, (arguments, named) in enumerate(asked["calls"]):
        try:
            signal.setitimer(signal.ITIMER_REAL, asked["each_s"])
            given = function(*map(thaw, arguments), **{name: thaw(value) for name, value in named.items()})
            signal.setitimer(signal.ITIMER_REAL, 0)
            say(number, True, freeze(given))
        except BaseException as error:
            signal.setitimer(signal.ITIMER_REAL, 0)
            say(number, False, type(error).__name__)


def _tests(asked: dict[str, Any], answers: Any) -> None:
    """A line for each test: whether it passes, and the calls it made.

    Without `given` the data set's own solution is called and its calls noted. With `given`, calls and what a player's
    function gave for them, that stands in for it; the player's program is not here.
    """
    given = asked["given"]
    table = None if given is None else {json.dumps(call): (good, what) for call, good, what in given}
    scope: dict[str, Any] = {"__name__": "solution"}
    exec(compile(asked["before"], "before.py", "exec"), scope)
    exec(compile(asked["source"], "solution.py", "exec"), scope)
    real, calls, inside = scope[asked["name"]], [], False

    def stand_in(*arguments: Any, **named: Any) -> Any:
        nonlocal inside
        if inside:
            return real(*arguments, **named)
        call = [[freeze(one) for one in arguments], {name: freeze(one) for name, one in named.items()}]
        if table is not None:
            good, what = table.get(json.dumps(call), (False, None))
            if not good:
                raise Missing
            return thaw(what)
        calls.append(call)
        inside = True
        try:
            result = real(*arguments, **named)
            freeze(result)
            return result
        finally:
            inside = False

    scope[asked["name"]] = scope["candidate"] = stand_in
    for test in asked["tests"]:
        calls = []
        random.seed(0)
        try:
            exec(compile(test, "test.py", "exec"), scope)
            answers.write(json.dumps([True, calls]) + "\n")
        except BaseException as error:
            answers.write(json.dumps([False, f"{type(error).__name__}: {error}"[:300]]) + "\n")


if __name__ == "__main__":
    main()
